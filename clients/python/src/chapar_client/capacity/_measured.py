"""Unit costs that were measured, each with its source: `measured.json` beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Unit:
    """What one of something costs, between the least and the most that was measured."""

    name: str
    low: float
    high: float
    unit: str
    source: str
    note: str


@lru_cache(maxsize=1)
def units() -> Mapping[str, Unit]:
    """All of them by name."""
    content = json.loads(files("chapar_client.capacity").joinpath("measured.json").read_text(encoding="utf-8"))
    return {name: Unit(name=name, **row) for name, row in content.items()}
