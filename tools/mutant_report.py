"""The page of mutants: docs/mutants.json, with the reason of each survivor, and docs/mutants.md, made from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_PACKAGE = "libs/sourcing/src/chapar_sourcing"
_HEAD = """# Mutants of the engine

Each small fault that `make mutants` can make (comparisons swapped, operands dropped, constants changed, statements
deleted, conditions negated) was made alone and shown to the tests nearest to the file, to all tests of the owner (for
files beside it: to those alone that `tools/mutate.py` names) and to seeds of the simulator. A check that does not
come to an end has noticed it, too. Where not all were tried, the run ended before: those tried are the first ones, or
the first ones of a sample. Every survivor is listed with the reason why nothing can notice it, or why nothing needs
to: `mutants.json`, which `make mutants-report` makes this page from.

| file | tried | of | noticed by tests | only by the simulator | survivors |
|---|---|---|---|---|---|
"""


def report(root: Path, tried: Path) -> int:
    """Adds what was tried to docs/mutants.json and writes docs/mutants.md; the number of survivors without a reason."""
    book = root / "docs" / "mutants.json"
    known: dict[str, Any] = json.loads(book.read_text())
    for state in sorted(tried.glob("*.json")):
        _add(known, json.loads(state.read_text()))
    known = dict(sorted(known.items()))
    book.write_text(json.dumps(known, indent=1) + "\n")
    rows, tables = [], []
    for file, told in known.items():
        text = (root / _PACKAGE / file).read_bytes()
        since = "" if hashlib.sha256(text).hexdigest() == told["sha256"] else " (changed since)"
        survivors: dict[str, str] = told["survivors"]
        figures = (told["tried"], told["there"], told["tests"], told["simulator"], len(survivors))
        rows.append(f"| `{file}`{since} | {' | '.join(map(str, figures))} |\n")
        if survivors:
            tables.append(f"\n## {file}\n\n| line | fault | reason |\n|---|---|---|\n")
        tables += [_row(name, reason) for name, reason in survivors.items()]
    (root / "docs" / "mutants.md").write_text("".join([_HEAD, *rows, *tables]))
    unexplained = sum(not reason for told in known.values() for reason in told["survivors"].values())
    print(f"docs/mutants.md: {unexplained} survivors without a reason")
    return unexplained


def _add(known: dict[str, Any], state: dict[str, Any]) -> None:
    verdicts: dict[str, str] = state["verdicts"]
    how = list(verdicts.values())
    reasons = known.get(state["file"], {}).get("survivors", {})
    known[state["file"]] = {
        "sha256": state["sha256"],
        "tried": len(how),
        "there": state["there"],
        "tests": how.count("tests"),
        "simulator": how.count("simulator"),
        "survivors": {name: reasons.get(name, "") for name, told in verdicts.items() if told == "survived"},
    }


def _row(name: str, reason: str) -> str:
    kind, rest = name.split(" | ", 1)
    source = rest.rsplit(" | ", 1)[0].replace("|", "\\|")
    return f"| `{source}` | {kind} | {reason or '**no reason given**'} |\n"
