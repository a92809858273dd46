"""Estimators of disentanglement: arrays in, numbers out."""

from metrics.types import Codes, Factors, Metric, Score

METRICS: dict[str, Metric] = {}

__all__ = ["METRICS", "Codes", "Factors", "Metric", "Score"]
