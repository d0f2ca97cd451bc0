"""The report of long runs: docs/soak.json, and docs/soak.md for people.

A row is of one state of a lane's code (`closure`): what the lane does not import may change meanwhile. Somebody may
have written a `note` into a row of the JSON: what became of what was found.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.simulation.tally import Tally

ROOT = Path(__file__).parent.parent.parent


class Row:
    """What was played with one state of the code."""

    def __init__(self, code_hash: str, lanes: dict[str, Any], chunks: dict[str, list[int]]) -> None:
        self.code_hash = code_hash
        self.lanes = lanes
        self._chunks = {lane: set(starts) for lane, starts in chunks.items()}

    def chunks(self, lane: str) -> frozenset[int]:
        """First seeds of the chunks that were played."""
        return frozenset(self._chunks.get(lane, ()))

    def seeds(self, lane: str) -> int:
        """How many seeds were played."""
        return int(self.lanes.get(lane, {}).get("seeds", 0))

    def violations(self, lane: str) -> Mapping[str, str]:
        """Violations by seed."""
        found: Mapping[str, str] = self.lanes.get(lane, {}).get("violations", {})
        return found

    def add(self, lane: str, chunk: range, tally: Tally) -> None:
        """Counts a chunk; one that was counted already raises `ValueError`."""
        played = self._chunks.setdefault(lane, set())
        if chunk.start in played:
            raise ValueError(f"seeds from {chunk.start} on are counted already")
        played.add(chunk.start)
        into = self.lanes.setdefault(lane, {"seeds": 0, "first": chunk.start, "last": -1, "cpu_s": 0.0})
        into["seeds"] += tally.seeds
        into["first"], into["last"] = min(into["first"], chunk.start), max(into["last"], chunk.stop - 1)
        into["cpu_s"] = round(into["cpu_s"] + tally.cpu_s, 1)
        into["faults"] = dict(sorted((Counter(into.get("faults", {})) + tally.fired).items()))
        into["violations"] = {**into.get("violations", {}), **{str(s): v for s, v in tally.violations.items()}}


class Report:
    """The files of the report below a folder that has docs/."""

    def __init__(self, root: Path = ROOT) -> None:
        self._report = root / "docs" / "soak.json"
        self._page = root / "docs" / "soak.md"
        self._state = root / ".proofs" / "soak"
        """Which chunks were played: one file a state of the code, not committed."""

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self._report.read_text())["rows"] if self._report.exists() else []
        return rows

    def load(self, code: str) -> Row:
        """The row of a state of the code, or a new one."""
        lanes: dict[str, Any] = next((row["lanes"] for row in self._rows() if row["code"] == code), {})
        state = self._state / f"{code}.json"
        chunks = json.loads(state.read_text()) if state.exists() else {}
        # Seeds of a lane whose chunks are not known here were played elsewhere: here they begin anew, and count anew.
        return Row(code, {lane: told for lane, told in lanes.items() if lane in chunks}, chunks)

    def save(self, row: Row) -> None:
        """Writes the state, the report and the page."""
        self._state.mkdir(parents=True, exist_ok=True)
        chunks = {lane: sorted(row.chunks(lane)) for lane in row.lanes}
        _write(self._state / f"{row.code_hash}.json", json.dumps(chunks))
        rows = self._rows()
        told = {"code": row.code_hash, "commit": commit(), "machine": machine(), "lanes": row.lanes}
        at = next((at for at, one in enumerate(rows) if one["code"] == row.code_hash), len(rows))
        if at < len(rows) and "note" in rows[at]:
            told["note"] = rows[at]["note"]
        rows[at : at + 1] = [told]
        _write(self._report, json.dumps({"rows": rows}, indent=1) + "\n")
        _write(self._page, page(rows))


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page for people."""
    lines = [
        "# Long runs",
        "",
        "Written by `make soak`; each section is of one state of all the code that a lane imports, newest last.",
        "",
    ]
    for row in rows:
        lines += [f"## Code {row['code']}", "", f"Commit {row['commit']}, {row['machine']}.", ""]
        for lane, told in row["lanes"].items():
            lines += _lane(lane, told)
        lines += [row["note"], ""] if "note" in row else []
    return "\n".join(lines)


def _lane(lane: str, told: Mapping[str, Any]) -> list[str]:
    violations = told["violations"]
    seeds = f"{told['seeds']:,} seeds ({told['first']} to {told['last']})"
    lines = [f"**{lane}**: {seeds}, {len(violations)} violations, {told['cpu_s'] / 60:,.0f} min of CPU.", ""]
    lines += ["| fault | fired |", "|---|---|", *(f"| {name} | {n:,} |" for name, n in told["faults"].items()), ""]
    lines += [f"- seed {seed}: {violation}" for seed, violation in violations.items()]
    return [*lines, ""] if violations else lines


def machine() -> str:
    """The kind of machine, without its name."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """What is checked out, short; "unknown" where this is no repository."""
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def _write(path: Path, text: str) -> None:
    """All or nothing."""
    beside = path.with_suffix(path.suffix + ".new")
    beside.write_text(text)
    os.replace(beside, path)
