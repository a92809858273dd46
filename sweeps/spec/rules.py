"""Rules between the sections of a spec: what no section can check alone."""

from __future__ import annotations

from sweeps.spec import correlation_rules, data_rules, metric_rules, search_rules
from sweeps.spec.draft import Draft
from sweeps.spec.errors import Problems


def check(draft: Draft, problems: Problems) -> None:
    """Check every rule between sections; a broken one is added to `problems`."""
    search_rules.check_repeated_entries(draft, problems)
    search_rules.check_search(draft, problems)
    search_rules.check_cells(draft, problems)
    data_rules.check_lengths(draft, problems)
    metric_rules.check_goals(draft, problems)
    metric_rules.check_evaluation(draft, problems)
    data_rules.check_inputs(draft, problems)
    data_rules.check_image_sizes(draft, problems)
    correlation_rules.check(draft, problems)
    search_rules.check_tradeoff(draft, problems)
    _check_devices(draft, problems)


def _check_devices(draft: Draft, problems: Problems) -> None:
    resources = draft.resources
    if resources is not None and resources.require_gpu and resources.gpu == 0:
        rule = "resources.require_gpu is true while resources.gpu is 0"
        remedy = "give each trial a share, as in gpu: 0.25"
        problems.add(("resources", "require_gpu"), f"{rule}; {remedy}")
