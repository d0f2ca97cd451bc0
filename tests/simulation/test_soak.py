"""The report of long runs adds up, goes on where it was, and keeps states of the code apart."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.soak import missing, soak
from tests.simulation.soak_report import COUNTED, Report, Row, code_hash, record
from tests.simulation.tally import Tally


@pytest.fixture
def report(tmp_path: Path) -> Report:
    (tmp_path / "docs").mkdir()
    return Report(tmp_path)


def test_a_row_goes_on_where_it_was_saved(report: Report) -> None:
    row = report.load("code")
    row.add("owner", range(25), Tally(25, 1.5, Counter(crash=2), {7: "lost"}))
    report.save(row)
    again = report.load("code")
    assert [chunk.start for chunk in missing(again, "owner", 75)] == [25, 50]
    again.add("owner", range(25, 50), Tally(25, 0.5, Counter(crash=1, pause=4)))
    assert (again.seeds("owner"), again.violations("owner")) == (50, {"7": "lost"})
    assert again.lanes["owner"]["faults"] == {"crash": 3, "pause": 4}
    assert (again.lanes["owner"]["first"], again.lanes["owner"]["last"]) == (0, 49)
    with pytest.raises(ValueError, match="counted already"):
        again.add("owner", range(25, 50), Tally(25))


def test_other_code_begins_another_row(report: Report, tmp_path: Path) -> None:
    for code in ("one", "two", "one"):
        row = report.load(code)
        at = row.seeds("owner")
        row.add("owner", range(at, at + 25), Tally(25))
        report.save(row)
    rows = json.loads((tmp_path / "docs" / "soak.json").read_text())["rows"]
    assert [(row["code"], row["lanes"]["owner"]["seeds"]) for row in rows] == [("one", 50), ("two", 25)]


def test_other_runs_add_counts(report: Report, tmp_path: Path) -> None:
    record("kills", {"rounds": 20, "lost": 0}, report)
    record("kills", {"rounds": 5, "lost": 0}, report)
    assert report.load(code_hash()).lanes == {"kills": {"counts": {"lost": 0, "rounds": 25}}}
    assert "**kills**: 0 lost, 25 rounds" in (tmp_path / "docs" / "soak.md").read_text()


def test_a_soak_counts_every_seed_once(report: Report, tmp_path: Path) -> None:
    assert soak(report, "owner", 30, minutes=5, jobs=1) == 0
    assert soak(report, "owner", 30, minutes=5, jobs=1) == 0
    row: Row = report.load(code_hash())
    assert row.seeds("owner") == 50
    assert "50 seeds (0 to 49), 0 violations" in (tmp_path / "docs" / "soak.md").read_text()


def test_the_hash_is_of_the_code_that_counts(tmp_path: Path) -> None:
    for folder in COUNTED:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text("one = 1\n")
    before = code_hash(tmp_path)
    (tmp_path / COUNTED[0] / "test_a.py").write_text("")
    assert code_hash(tmp_path) == before
    (tmp_path / COUNTED[1] / "a.py").write_text("one = 2\n")
    assert code_hash(tmp_path) != before
