"""The report of long runs adds up, goes on where it was, and keeps states of the code apart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.closure import ROOT, code_hash, files_of
from tests.simulation.playing import LANES
from tests.simulation.soak import missing, soak
from tests.simulation.soak_report import Report, Row
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


def test_a_soak_counts_every_seed_once(report: Report, tmp_path: Path) -> None:
    assert soak(report, "owner", 30, minutes=5, jobs=1) == 0
    assert soak(report, "owner", 30, minutes=5, jobs=1) == 0
    row: Row = report.load(code_hash(LANES["owner"]))
    assert row.seeds("owner") == 50
    assert "50 seeds (0 to 49), 0 violations" in (tmp_path / "docs" / "soak.md").read_text()


def test_the_hash_is_of_all_that_is_imported_and_of_nothing_else(tmp_path: Path) -> None:
    engine, simulator = tmp_path / "libs/sourcing/src/engine", tmp_path / "tests/simulation"
    for folder in (engine, simulator):
        folder.mkdir(parents=True)
    (simulator / "run.py").write_text("import os\nfrom engine.owner import Owner\n")
    (engine / "__init__.py").write_text("")
    (engine / "owner.py").write_text("from engine import fold\n\n\nclass Owner:\n    pass\n")
    (engine / "fold.py").write_text("def fold() -> None:\n    import engine.hashes\n")
    (engine / "hashes.py").write_text("")
    (engine / "adapter.py").write_text("from engine import fold\n")
    found = files_of("tests.simulation.run", tmp_path)
    names = ["__init__.py", "fold.py", "hashes.py", "owner.py", "run.py"]
    assert [file.name for file in found] == names
    before = code_hash("tests.simulation.run", tmp_path)
    (engine / "adapter.py").write_text("")
    assert code_hash("tests.simulation.run", tmp_path) == before
    for file in found:
        file.write_text(file.read_text() + "\n# another\n")
        assert code_hash("tests.simulation.run", tmp_path) != before
        before = code_hash("tests.simulation.run", tmp_path)
    with pytest.raises(ValueError, match="no module of this repository"):
        code_hash("engine.nothing", tmp_path)


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_is_known_by_what_it_plays_with(lane: str) -> None:
    """What was loaded when it had played is among the files that its hash is of."""
    script = (
        "import json, sys; from tests.simulation.playing import play_of;"
        f" play_of({lane!r})(1);"
        " print(json.dumps([str(getattr(one, '__file__', None) or '') for one in sys.modules.values()]))"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = {Path(name) for name in json.loads(said) if name}
    ours = {file for file in loaded if file.is_relative_to(ROOT) and ".venv" not in file.parts}
    assert ours
    assert ours <= set(files_of(LANES[lane]))
