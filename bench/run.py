"""Runs the benchmarks: `python -m bench.run [--json] [--section engine|recovery|end-to-end]`."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.end_to_end import end_to_end_figures
from bench.engine import owner_figures
from bench.figures import Figure, as_rows, machine
from bench.progress import Bars
from bench.recovery import recovery_figures

OUT = Path(__file__).resolve().parent / "out"
WIDTH = 170
"""Of a table that goes to a file."""
SECTIONS = {"engine": owner_figures, "recovery": recovery_figures, "end-to-end": end_to_end_figures}


async def measure(section: str) -> list[Figure]:
    """Runs the sections asked for."""
    figures: list[Figure] = []
    with Bars() as bars:
        for name, measured in SECTIONS.items():
            if section in ("all", name):
                figures += await measured(bars)
    return figures


def table(figures: list[Figure]) -> Table:
    """The figures for people."""
    shown = Table("section", "what", "figure", "unit", "how")
    for figure in figures:
        shown.add_row(figure.section, figure.name, f"{figure.value:,.1f}", figure.unit, figure.how)
    return shown


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Figures of Chapar on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--section", choices=("all", *SECTIONS), default="all")
    given = parser.parse_args()
    figures = asyncio.run(measure(given.section))
    result = {"machine": machine(), "figures": as_rows(figures)}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{given.section}.json").write_text(json.dumps(result, indent=2) + "\n")
    if given.json:
        print(json.dumps(result))
        return
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), highlight=False)
    console.print(table(figures))


if __name__ == "__main__":
    main()
