"""Rules about metrics: the data set and the codes have what the metrics of a spec need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import metrics
from sweeps.spec import registry_blocks
from sweeps.spec.draft import Draft, no_factors
from sweeps.spec.errors import Problems, SpecPath, spell
from vae_core.epoch_metrics import COMMON_METRICS, EPOCH_METRICS
from vae_core.hyperparameters import registry
from vae_core.objectives import OBJECTIVES


def check_goals(draft: Draft, problems: Problems) -> None:
    """Check that goals and pruning use metrics of every epoch, and that no two goals are alike."""
    for path, name in _metrics_of_epochs(draft):
        if name not in COMMON_METRICS:
            unknown = registry.unknown_name("per-epoch metric", name, COMMON_METRICS)
            problems.add(path, f"{spell(path)}: {unknown}")
        elif EPOCH_METRICS[name].needs_factors and draft.lacks_factors:
            problems.add(path, f"{spell(path)}: {no_factors(name)}; use elbo")
    count = Counter(goal.metric for goal in draft.goals or ())
    for name in sorted(count):
        if count[name] > 1:
            problems.add(("goal",), f"goal must not repeat a metric, got {name} more than once")


def _metrics_of_epochs(draft: Draft) -> list[tuple[SpecPath, str]]:
    """Return the metrics of goals and pruning, with their paths."""
    named: list[tuple[SpecPath, str]] = [
        (("goal", index, "metric"), goal.metric) for index, goal in enumerate(draft.goals or ())
    ]
    if len(named) == 1:  # one goal may be written without a list
        named = [(("goal", "metric"), named[0][1])]
    if draft.pruning is not None:
        named.append((("pruning", "metric"), draft.pruning.metric))
    return named


def check_evaluation(draft: Draft, problems: Problems) -> None:
    """Check the metric that selects the best epoch, the final metrics and the number of images."""
    _check_best(draft, problems)
    _check_final_metrics(draft, problems)
    _check_evaluation_images(draft, problems)


def _check_best(draft: Draft, problems: Problems) -> None:
    best = None if draft.evaluation is None else draft.evaluation.best
    if best is not None and "factors" in metrics.find(best).needs and draft.lacks_factors:
        message = f"evaluation.best: {no_factors(best)}; use elbo, or leave it out"
        problems.add(("evaluation", "best"), message)


def _check_evaluation_images(draft: Draft, problems: Problems) -> None:
    """Check that the evaluated images can show every level of every factor."""
    if draft.evaluation is None or draft.outline is None or not draft.outline.factor_sizes:
        return
    images = draft.evaluation.images
    most_levels = max(draft.outline.factor_sizes)
    if images < min(most_levels, draft.outline.images):
        rule = f"must be >= {most_levels}, to show every value of every factor"
        problems.add(("evaluation", "images"), f"evaluation.images {rule}, got {images}")


def _check_final_metrics(draft: Draft, problems: Problems) -> None:
    """Check each list of final metrics once, for all the entries that are scored with it."""
    entries_by_list: dict[SpecPath, list[int]] = {}
    for entry in range(len(draft.settings_of_entries)):
        list_path, _ = draft.final_metrics(entry)
        entries_by_list.setdefault(list_path, []).append(entry)
    for list_path, entries in entries_by_list.items():
        _, names = draft.final_metrics(entries[0])
        for index, name in enumerate(names):
            _check_final_metric(draft, name, (*list_path, index), entries, problems)


def _check_final_metric(
    draft: Draft, name: str, path: SpecPath, entries: Sequence[int], problems: Problems
) -> None:
    """Check that the data set, and the codes of some entries, have what a final metric needs."""
    needs = metrics.find(name).needs
    if "factors" in needs and draft.lacks_factors:
        problems.add(path, f"{spell(path)}: {no_factors(name)}; leave it out")
    if "discrete" not in needs:
        return
    without_codes = _entries_without_discrete_codes(draft, entries)
    if without_codes:
        have = "does not have" if len(without_codes) == 1 else "do not have"
        rule = f"{name} needs discrete codes, which {', '.join(without_codes)} {have}"
        remedy = "leave it out"
        if path[0] == "evaluation":
            example = f"evaluation: {{final: [{name}]}}"
            remedy += f", or give it to single entries that have them, as in {example}"
        problems.add(path, f"{spell(path)}: {rule}; {remedy}")


def _entries_without_discrete_codes(draft: Draft, entries: Sequence[int]) -> list[str]:
    """Return those of some entries that have no discrete code at some sample of their spaces."""
    without_codes: list[str] = []
    for index, objective in enumerate(draft.objectives or ()):
        if index not in entries:
            continue
        has_codes = [
            bool(registry.build("objective", sample, OBJECTIVES).wiring.reads_code)
            for _, sample in registry_blocks.sample_blocks(objective)
        ]
        if not all(has_codes):
            without_codes.append(f"{spell(('objectives', index))} {objective['name']}")
    return without_codes
