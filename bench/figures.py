"""A figure with its unit, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.simulation.soak_report import commit


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    section: str
    name: str
    value: float
    unit: str
    how: str
    """What was done, in a few words."""


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.system(),
    }


def conditions() -> dict[str, str]:
    """The machine, the code, and how much else went on lately."""
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    return {**machine(), "commit": commit(), "load averages over 1, 5, 15 minutes": load}


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def as_rows(figures: list[Figure]) -> list[dict[str, object]]:
    """The figures for JSON."""
    return [asdict(figure) for figure in figures]


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
