"""Runs the benchmarks: `python -m bench.run [--json] [--section engine|recovery|end-to-end]`."""

from __future__ import annotations

import argparse
import asyncio

from bench.end_to_end import end_to_end_figures
from bench.engine import owner_figures
from bench.figures import Figure
from bench.progress import Bars
from bench.recovery import recovery_figures
from bench.report import tell

SECTIONS = {"engine": owner_figures, "recovery": recovery_figures, "end-to-end": end_to_end_figures}


async def measure(section: str) -> list[Figure]:
    """Runs the sections asked for."""
    figures: list[Figure] = []
    with Bars() as bars:
        for name, measured in SECTIONS.items():
            if section in ("all", name):
                figures += await measured(bars)
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Figures of Chapar on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--section", choices=("all", *SECTIONS), default="all")
    given = parser.parse_args()
    figures = asyncio.run(measure(given.section))
    tell(given.section, figures, as_json=given.json)


if __name__ == "__main__":
    main()
