"""Tells figures: a table for people or JSON, and a file under `bench/out/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Figure, as_rows, conditions

OUT = Path(__file__).resolve().parent / "out"
WIDTH = 170
"""Of a table that goes to a file."""


def kept(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Writes what was measured, with its conditions, to the file of that name; all of it."""
    result = {"conditions": conditions(), **content}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return result


def tell(name: str, figures: list[Figure], *, as_json: bool) -> None:
    """Keeps figures and prints them."""
    result = kept(name, {"figures": as_rows(figures)})
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
        return
    shown = Table("section", "what", "figure", "unit", "how")
    for figure in figures:
        shown.add_row(figure.section, figure.name, f"{figure.value:,.1f}", figure.unit, figure.how)
    console = console_of(WIDTH)
    tell_conditions(console, result["conditions"])
    console.print(shown)


def console_of(width: int) -> Console:
    """Standard output, so wide where it is no terminal."""
    return Console() if Console().is_terminal else Console(width=width)


def tell_conditions(console: Console, told: dict[str, str]) -> None:
    """One line."""
    console.print(", ".join(f"{name} {value}" for name, value in told.items()), highlight=False)
