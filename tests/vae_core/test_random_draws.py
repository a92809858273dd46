"""Keyed generators: one stream for each purpose and epoch."""

from __future__ import annotations

import itertools

import torch

from vae_core import random_draws


def test_streams_of_different_keys_differ() -> None:
    keys = list(itertools.product(range(5), ("weights", "order", "posterior"), range(20)))
    first = [torch.randn(4, generator=random_draws.generator(*key)) for key in keys]
    assert len({tuple(values.tolist()) for values in first}) == len(keys)


def test_keys_are_the_same_on_every_machine() -> None:
    # sha256("3/order/7"), first eight bytes, big-endian, halved
    assert random_draws.key(3, "order", 7) == 0x749EA744F4ED670E
    assert 0 <= random_draws.key(0, "x") < 2**63
