"""Makes small faults in the engine, one at a time, and shows which ones no test notices.

`python -m tools.mutate fold.py owner/claims.py` tries each mutant of those files of libs/sourcing in a copy of the
tree: the owner's tests first, then seeds of the simulator, then, for files beside the owner, the hosting tests. What
was tried is kept in `.proofs/mutants`, so that a run that was ended goes on where it was; a changed file begins anew.

`python -m tools.mutate --report` writes docs/mutants.md from the survivors that docs/mutants.json gives reasons for
and fails where one has none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.mutations import Mutant, mutants

ROOT = Path(__file__).parent.parent
PACKAGE = Path("libs/sourcing/src/chapar_sourcing")
STATE = ROOT / ".proofs" / "mutants"
REASONS = ROOT / "docs" / "mutants.json"
REPORT = ROOT / "docs" / "mutants.md"
SEEDS = 60
TIMEOUT_S = 180
SURVIVED = "survived"
_PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=30")
_SEEDS = f"import sys; from tests.simulation.run import play; sys.exit(any(play(s).violation for s in range({SEEDS})))"
Check = tuple[str, Sequence[str]]
OWNER: Check = ("owner tests", (*_PYTEST, "libs/sourcing/tests/owner"))
SIMULATOR: Check = ("simulator", ("-c", _SEEDS))
HOSTING: Check = ("hosting tests", (*_PYTEST, "libs/sourcing/tests/hosting"))
INSIDE = frozenset({"fold.py", "creations.py", "requests.py"})
"""Files beside owner/ that the owner itself is made of."""


def checks_of(file: str) -> Sequence[Check]:
    """What is asked about a mutant of a file, fastest first."""
    if file.startswith("owner/"):
        return (OWNER, SIMULATOR)
    return (OWNER, SIMULATOR, HOSTING) if file in INSIDE else (HOSTING,)


class Tree:
    """A copy of what the checks need, where one file at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("libs/sourcing", "tests/simulation", "tools"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        shutil.copy(ROOT / "tests" / "__init__.py", folder / "tests" / "__init__.py")
        shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")

    def path(self, file: str) -> Path:
        """Where a file of the package is."""
        return self._folder / PACKAGE / file

    def noticed(self, check: Check) -> bool:
        """Whether a check fails, or does not come to an end."""
        paths = os.pathsep.join([str(self._folder / PACKAGE.parent), str(self._folder)])
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            ended = subprocess.run(
                [sys.executable, *check[1]],
                cwd=self._folder,
                env=env,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return True
        return ended.returncode != 0


def verdict(tree: Tree, file: str, mutant: Mutant) -> str:
    """The check that noticed a mutant, or that it survived."""
    sound = tree.path(file).read_text()
    tree.path(file).write_text(mutant.text)
    try:
        return next((check[0] for check in checks_of(file) if tree.noticed(check)), SURVIVED)
    finally:
        tree.path(file).write_text(sound)


def try_file(tree: Tree, file: str, every: int, again: bool) -> None:
    """Tries a file's mutants; `every` 3 tries each third one, `again` those that survived an earlier run, too."""
    text = tree.path(file).read_text()
    state = STATE / (file.replace("/", "-") + ".json")
    known = json.loads(state.read_text()) if state.exists() else {}
    digest = hashlib.sha256(text.encode()).hexdigest()
    if known.get("sha256") != digest:
        known = {"file": file, "sha256": digest, "every": every, "verdicts": {}}
    if again:
        known["verdicts"] = {name: how for name, how in known["verdicts"].items() if how != SURVIVED}
    found = list(mutants(text))[::every]
    for at, mutant in enumerate(found):
        if mutant.name not in known["verdicts"]:
            known["verdicts"][mutant.name] = verdict(tree, file, mutant)
            state.parent.mkdir(parents=True, exist_ok=True)
            state.write_text(json.dumps(known, indent=1))
        if known["verdicts"][mutant.name] == SURVIVED:
            print(f"\rsurvived: {file}:{mutant.line} {mutant.kind}: {mutant.source}", flush=True)
        if sys.stderr.isatty():
            print(f"\r{file} {at + 1}/{len(found)}", end="", file=sys.stderr)
    verdicts: dict[str, str] = known["verdicts"]
    survivors = sum(told == SURVIVED for told in verdicts.values())
    print(f"\r{file}: {len(verdicts)} mutants, {survivors} survived", flush=True)


def report() -> int:
    """Writes docs/mutants.md; the number of survivors without a reason."""
    reasons = json.loads(REASONS.read_text())
    lines = [
        "# Mutants of the engine",
        "",
        "Each small fault that `make mutants` can make (comparisons swapped, operands dropped, constants changed,",
        "statements deleted, conditions negated) was made alone and shown to the owner's tests, to seeds of the",
        "simulator and, beside the owner, to the hosting tests. Every survivor is listed with the reason why nothing",
        "can notice it, or why nothing needs to: `mutants.json`, which `make mutants-report` makes this page from.",
        "",
        "| file | mutants | noticed by the tests | only by the simulator | survivors |",
        "|---|---|---|---|---|",
    ]
    tables: list[str] = []
    unexplained = 0
    for state in sorted(STATE.glob("*.json")):
        known = json.loads(state.read_text())
        file, verdicts = known["file"], known["verdicts"]
        told = list(verdicts.values())
        sampled = f" (each {known['every']}th)" if known["every"] > 1 else ""
        there = len(list(mutants((ROOT / PACKAGE / file).read_text())))
        sampled += f" (of {there} that there are now)" if there != len(told) else ""
        tests = sum(one.endswith("tests") for one in told)
        simulator, survived = told.count(SIMULATOR[0]), told.count(SURVIVED)
        lines.append(f"| `{file}`{sampled} | {len(told)} | {tests} | {simulator} | {survived} |")
        if survived:
            tables += ["", f"## {file}", "", "| line | fault | reason |", "|---|---|---|"]
        for name in (name for name, how in verdicts.items() if how == SURVIVED):
            reason = reasons.get(file, {}).get(name)
            unexplained += reason is None
            kind, rest = name.split(" | ", 1)
            source = rest.rsplit(" | ", 1)[0]
            tables.append(f"| `{source.replace('|', chr(92) + '|')}` | {kind} | {reason or '**no reason given**'} |")
    REPORT.write_text("\n".join([*lines, *tables]) + "\n")
    print(f"docs/mutants.md: {unexplained} survivors without a reason")
    return unexplained


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Make mutants of the engine and show what no test notices.")
    parser.add_argument("files", nargs="*", help="files below chapar_sourcing, such as fold.py owner/claims.py")
    parser.add_argument("--every", type=int, default=1, help="try each n-th mutant only")
    parser.add_argument("--again", action="store_true", help="try survivors of an earlier run again")
    parser.add_argument("--report", action="store_true", help="write docs/mutants.md")
    given = parser.parse_args()
    if given.files:
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(Path(folder))
            for file in given.files:
                unsound = [check[0] for check in checks_of(file) if tree.noticed(check)]
                if unsound:
                    sys.exit(f"{file} as it is fails the {' and the '.join(unsound)}: nothing can be learnt")
                try_file(tree, file, given.every, given.again)
    if given.report:
        sys.exit(bool(report()))


if __name__ == "__main__":
    main()
