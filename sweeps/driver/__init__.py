"""Runs a sweep: conductor, Ray Tune, trial actors, live view."""
