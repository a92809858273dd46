"""Writes mappings as YAML 1.2 that `yaml_reader` reads back equal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML


def dump(mapping: Mapping[str, Any]) -> str:
    """Return a mapping as block YAML: keys in their order, short lists on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    yaml.width = 120
    text = io.StringIO()
    yaml.dump(dict(mapping), text)
    return text.getvalue()
