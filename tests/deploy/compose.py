"""deploy/compose as an engine reads it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from tools.charts.helm import ROOT

FOLDER = ROOT / "deploy" / "compose"


@cache
def composition() -> Mapping[str, Any]:
    """The whole file."""
    read: Mapping[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return read


def environment_of(service: str) -> dict[str, str]:
    """What a container is told by its files, in their order."""
    told: dict[str, str] = {}
    for name in composition()["services"][service].get("env_file", []):
        lines = (FOLDER / name).read_text().splitlines()
        told |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return told
