"""Runs the benchmarks: `python -m bench.run [--json] [--section engine|end-to-end]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench.end_to_end import end_to_end_figures
from bench.engine import owner_figures
from bench.figures import Figure, as_rows, machine

OUT = Path(__file__).resolve().parent / "out"


def progress(what: str) -> None:
    """Says what is being done."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


async def measure(section: str) -> list[Figure]:
    """Runs the sections asked for."""
    figures: list[Figure] = []
    if section in ("all", "engine"):
        figures += await owner_figures(progress)
    if section in ("all", "end-to-end"):
        figures += await end_to_end_figures(progress)
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="First figures of Chapar on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--section", choices=("all", "engine", "end-to-end"), default="all")
    given = parser.parse_args()
    figures = asyncio.run(measure(given.section))
    result = {"machine": machine(), "figures": as_rows(figures)}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps(result, indent=2) + "\n")
    if given.json:
        print(json.dumps(result))
        return
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for figure in figures:
        print(f"{figure.section:11} {figure.name:42} {figure.value:12,.1f} {figure.unit:12} {figure.how}")


if __name__ == "__main__":
    main()
