"""Dataclasses of hyperparameters: registry, field checks, schedules."""
