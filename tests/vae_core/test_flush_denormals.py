"""Denormal numbers are zero inside `flushed` and unchanged outside."""

from __future__ import annotations

import torch

from vae_core.flush_denormals import flushed


def tiny() -> float:
    return (torch.full((1,), 1e-30) * 1e-10).item()


def test_denormals_are_flushed_inside_only() -> None:
    assert tiny() > 0
    with flushed():
        assert tiny() == 0
        with flushed():
            assert tiny() == 0
        assert tiny() == 0  # the inner one restores what it found: flushing
    assert tiny() > 0
