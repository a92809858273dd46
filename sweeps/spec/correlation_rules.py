"""Rules about correlated factors: the data set has them, and every metric can weight its images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import metrics
from sweeps.spec import registry_blocks
from sweeps.spec.draft import Draft, no_factors
from sweeps.spec.errors import Problems, SpecPath, spell
from vae_core.config import CORRELATION_FIELDS, TrainConfig


def check(draft: Draft, problems: Problems) -> None:
    """Check the correlation that each entry trains and evaluates with."""
    for index, block in enumerate(draft.trains()):
        section = draft.deciding_section(index, "train", *CORRELATION_FIELDS)
        if block.get("correlated") and "correlation_width" not in block:
            rule = f"{spell(section)}.correlation_width is missing; correlated needs it"
            problems.add((*section, "correlated"), f"{rule}, as in correlation_width: 0.2")
        configs = [TrainConfig(**sample) for _, sample in registry_blocks.sample_blocks(block)]
        is_correlated = any(config.has_correlation for config in configs)
        if draft.lacks_factors:
            if is_correlated or any(config.correlated for config in configs):
                rule = no_factors("a correlation")
                remedy = "leave out correlated and factor_table"
                problems.add(section, f"{spell(section)}: {rule}; {remedy}")
            continue
        _check_factors(draft, configs, section, problems)
        if is_correlated:
            _check_row_weights(draft, index, problems)


def _check_factors(
    draft: Draft, configs: Sequence[TrainConfig], section: SpecPath, problems: Problems
) -> None:
    """Check that the data set has the factors and levels that the correlation names."""
    if draft.outline is None:
        return
    names, sizes = draft.outline.factor_names, draft.outline.factor_sizes
    is_full_grid = draft.outline.images == math.prod(sizes)
    for config in configs:
        for field, message in config.correlation_problems(names, sizes, grid=is_full_grid):
            problems.add((*section, field), f"{spell(section)}.{message}")


def _check_row_weights(draft: Draft, index: int, problems: Problems) -> None:
    """Check that the metrics of an entry with correlated factors take row weights.

    Row weights are the probabilities of the images: without them a metric would score codes of
    independent factors.
    """
    list_path, names = draft.final_metrics(index)
    used: list[tuple[SpecPath, str]] = [
        ((*list_path, position), name) for position, name in enumerate(names)
    ]
    if draft.evaluation is not None and draft.evaluation.best is not None:
        used.append((("evaluation", "best"), draft.evaluation.best))
    for path, name in used:
        if not metrics.find(name).weighted:
            rule = f"{name} takes no row weights, and factors are correlated"
            problems.add(path, f"{spell(path)}: {rule}; leave it out")
