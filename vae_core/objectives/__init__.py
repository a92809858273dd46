"""Objectives by name."""

from vae_core.objectives.abstract import AbstractObjective

OBJECTIVES: dict[str, type[AbstractObjective]] = {}
