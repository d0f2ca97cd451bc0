"""`docs/security/asvs.csv`: each requirement of levels 1 and 2 of OWASP ASVS 5.0.0 stands there once, and what is said
to show that it holds is there to be looked at."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security" / "asvs.csv"
COLUMNS = ["id", "level", "topic", "state", "evidence", "note"]
STATES = {"shown", "partly", "not applicable", "open"}
REQUIREMENTS = {
    1: (2, 9, 11, 3, 2), 2: (3, 3, 4, 1), 3: (0, 2, 4, 6, 5, 0, 2), 4: (3, 1, 2, 4), 5: (1, 3, 2, 3),
    6: (3, 12, 4, 4, 5, 3, 0, 4), 7: (3, 4, 2, 5, 2, 2), 8: (2, 3, 1, 1), 9: (3, 4), 10: (2, 2, 4, 11, 5, 2, 3),
    11: (2, 3, 3, 4, 1, 1), 12: (3, 2, 4), 13: (1, 5, 2, 5), 14: (2, 4, 3), 15: (3, 3, 7), 16: (1, 5, 4, 3, 3),
    17: (1, 4, 2),
}  # fmt: skip
"""By chapter: how many requirements of levels 1 and 2 each of its sections has. They come first in theirs."""
LEVELS = {"1": 70, "2": 183}


@pytest.fixture(scope="module")
def lines() -> list[dict[str, str]]:
    with PAGE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ids() -> list[str]:
    return [
        f"V{chapter}.{section}.{number}"
        for chapter, sections in REQUIREMENTS.items()
        for section, count in enumerate(sections, 1)
        for number in range(1, count + 1)
    ]


@cache
def functions(path: Path) -> frozenset[str]:
    """The functions of a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def problem(evidence: str) -> str:
    """Why a piece of evidence cannot be looked at; empty when it can."""
    name, _, function = evidence.partition("::")
    path = ROOT / name
    if not path.is_file():
        return f"{name} is no file"
    return "" if not function or function in functions(path) else f"{name} has no {function}"


def test_each_requirement_stands_there_once_and_in_order(lines: list[dict[str, str]]) -> None:
    assert list(lines[0]) == COLUMNS
    assert [line["id"] for line in lines] == ids()
    assert Counter(line["level"] for line in lines) == LEVELS


def test_no_line_is_empty(lines: list[dict[str, str]]) -> None:
    for line in lines:
        assert line["topic"].strip(), line
        assert line["state"] in STATES, line
        if line["state"] in ("shown", "partly"):
            assert line["evidence"], line
        else:
            assert not line["evidence"], line
        if line["state"] != "shown":
            assert line["note"].strip(), line


def test_what_shows_it_is_there(lines: list[dict[str, str]]) -> None:
    wrong = [f"{line['id']}: {why}" for line in lines for one in line["evidence"].split() if (why := problem(one))]
    assert wrong == []


def test_evidence_that_is_not_there_is_noticed() -> None:
    here = "tests/gates/test_asvs.py"
    assert problem(f"{here}::test_evidence_that_is_not_there_is_noticed") == ""
    assert problem(f"{here}::test_of_something_else")
    assert problem("tests/gates/test_nothing.py")
