"""Makes small faults in the engine, one at a time, and shows which ones no test notices.

`python -m tools.mutate fold.py owner/claims.py` tries mutants of those files of libs/sourcing in a copy of the tree:
the tests nearest to the file first, then seeds of the simulator; the first that fails has noticed it. What was tried is
kept in `.proofs/mutants`, so that a run that was ended goes on where it was; a changed file begins anew.

`python -m tools.mutate --report` adds what was tried to docs/mutants.json, writes docs/mutants.md from it, and fails
where a survivor has no reason in docs/mutants.json.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.mutant_report import report
from tools.mutations import Mutant, mutants

ROOT = Path(__file__).parent.parent
PACKAGE = Path("libs/sourcing/src/chapar_sourcing")
STATE = ROOT / ".proofs" / "mutants"
SURVIVED = "survived"
TIMEOUT_S = 300
CPU_SECONDS_MAX = 60
"""How long one check of one mutant may take, by the clock and by the processor's time: whoever hangs is noticed."""
_TESTS = "libs/sourcing/tests"
_WARM = (
    "pytest",
    "pytest_asyncio",
    "pytest_timeout",
    "hypothesis",
    "msgspec",
    "chapar.sourcing.journal.v1.journal_pb2",
)
"""What no mutant touches is imported once: each check is a fork of this process."""
_INSIDE = frozenset({"fold.py", "creations.py", "requests.py", "timers.py"})
"""Files beside owner/ that the owner itself is made of."""
_NEAREST = {
    "fold.py": ["test_fold.py", "test_taking_over.py"],
    "creations.py": ["test_small_rules.py"],
    "requests.py": ["test_small_rules.py", "test_request_ids.py"],
    "timers.py": ["test_small_rules.py", "test_timers.py"],
    "owner/answers.py": ["test_answers.py", "test_eviction.py"],
    "owner/blocks.py": ["test_small_rules.py", "test_committing.py", "test_bounds_and_refusals.py"],
    "owner/claims.py": ["test_taking_over.py"],
    "owner/commits.py": ["test_committing.py", "test_confirming.py", "test_bounds_and_refusals.py"],
    "owner/core.py": ["test_committing.py", "test_taking_over.py", "test_confirming.py", "test_clock_off.py"],
    "owner/deciding.py": ["test_bounds_and_refusals.py", "test_schema_levels.py"],
    "owner/eviction.py": ["test_eviction.py"],
    "owner/intake.py": ["test_request_ids.py", "test_bounds_and_refusals.py", "test_eviction.py"],
    "owner/memory.py": ["test_memory.py", "test_eviction.py"],
    "owner/projection.py": ["test_projecting.py"],
    "owner/reading.py": ["test_taking_over.py"],
    "owner/replay.py": ["test_taking_over.py"],
    "owner/state.py": ["test_committing.py", "test_projecting.py"],
    "owner/timers.py": ["test_timer_hints.py", "test_timers.py"],
}
"""The tests of the owner that are asked first, before all others of it."""
_HOSTING = {
    "followers.py": ["test_followers.py", "test_reactor.py", "test_relay.py", "test_erasing.py"],
    "lanes.py": ["test_lanes.py", "test_reactor.py"],
    "partition.py": [
        "test_partition.py",
        "test_watch.py",
        "test_host.py",
        "test_digest.py",
        "test_clock.py",
        "test_reactor.py",
    ],
    "reactor.py": ["test_reactor_alone.py", "test_lanes.py", "test_reactor.py"],
    "relay.py": ["test_relay_alone.py", "test_relay.py"],
    "rows.py": ["test_rows.py", "test_watch.py"],
    "views.py": ["test_views.py", "test_host.py"],
}
"""What is asked about files beside the owner."""
Check = tuple[str, Callable[[], int]]


def _pytest(paths: Sequence[str]) -> int:
    """Runs tests up to the first that fails, with no more plugins than they need: most of a check is its start."""
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider")
    return int(pytest.main(["-q", "-x", "--assert=plain", "--timeout=30", *plugins, *paths]))


def _tests(paths: Sequence[str]) -> Check:
    return "tests", lambda: _pytest(paths)


def _play(module: str, seeds: range) -> int:
    play = importlib.import_module(module).play
    return int(any(play(seed).violation for seed in seeds))


OWNERS: Check = ("simulator", lambda: _play("tests.simulation.run", range(24)))
PATHS: Check = ("simulator", lambda: _play("tests.simulation.path.run", range(60, 72)))


def checks_of(file: str) -> Sequence[Check]:
    """What is asked about a mutant of a file, fastest first."""
    if file.startswith("owner/") or file in _INSIDE:
        nearest = [f"{_TESTS}/owner/{name}" for name in _NEAREST[file]]
        return (_tests(nearest), _tests([f"{_TESTS}/owner"]), OWNERS)
    return (_tests([f"{_TESTS}/hosting/{name}" for name in _HOSTING[file]]), PATHS)


class Tree:
    """A copy of what the checks need, where one file at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("libs/sourcing", "tests/simulation", "tools"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        shutil.copy(ROOT / "tests" / "__init__.py", folder / "tests" / "__init__.py")
        shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
        self._processes = multiprocessing.get_context("fork")

    def text(self, file: str) -> str:
        """A file of the package."""
        return (self._folder / PACKAGE / file).read_text()

    def change(self, file: str, text: str) -> None:
        """Writes a file of the package; what was compiled of it goes."""
        path = self._folder / PACKAGE / file
        path.write_text(text)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def noticed(self, check: Check, *, sound: bool = False) -> bool:
        """Whether a check fails, or does not come to an end. A `sound` tree leaves compiled files for later checks."""
        process = self._processes.Process(target=self._ask, args=(check[1], sound))
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode != 0

    def _ask(self, check: Callable[[], int], sound: bool) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        paths = [str(self._folder / PACKAGE.parent), str(self._folder)]
        sys.path[:0] = paths
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        sys.dont_write_bytecode = not sound
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
        os.chdir(self._folder)
        sys.exit(check())


def verdict(tree: Tree, file: str, mutant: Mutant) -> str:
    """The check that noticed a mutant, or that it survived."""
    sound = tree.text(file)
    tree.change(file, mutant.text)
    try:
        return next((check[0] for check in checks_of(file) if tree.noticed(check)), SURVIVED)
    finally:
        tree.change(file, sound)


def sampled(found: Sequence[Mutant], most: int) -> list[Mutant]:
    """At most so many of a file's mutants, always the same ones, in their order; 0: all."""
    if not 0 < most < len(found):
        return list(found)
    return [found[at] for at in sorted(random.Random(0).sample(range(len(found)), most))]  # nosec B311 # the same sample each time is what is wanted


def try_file(tree: Tree, file: str, most: int, again: bool) -> None:
    """Tries mutants of a file, `most` at most; `again`: those alone that survived an earlier run."""
    text = tree.text(file)
    state = STATE / (file.replace("/", "-") + ".json")
    known = json.loads(state.read_text()) if state.exists() else {}
    digest = hashlib.sha256(text.encode()).hexdigest()
    found = list(mutants(text))
    if known.get("sha256") != digest and not (again and known):
        known = {"file": file, "sha256": digest, "there": len(found), "verdicts": {}}
    survived = {name for name, how in known["verdicts"].items() if how == SURVIVED} if again else set()
    known["verdicts"] = {name: how for name, how in known["verdicts"].items() if name not in survived}
    chosen = [one for one in found if one.name in survived] if survived else sampled(found, most)
    for at, mutant in enumerate(chosen):
        if mutant.name not in known["verdicts"]:
            known["verdicts"][mutant.name] = verdict(tree, file, mutant)
            state.parent.mkdir(parents=True, exist_ok=True)
            state.write_text(json.dumps(known, indent=1))
        if known["verdicts"][mutant.name] == SURVIVED:
            print(f"\rsurvived: {file}:{mutant.line} {mutant.kind}: {mutant.source}", flush=True)
        if sys.stderr.isatty():
            print(f"\r{file} {at + 1}/{len(chosen)}", end="", file=sys.stderr)
    verdicts: dict[str, str] = known["verdicts"]
    survivors = sum(told == SURVIVED for told in verdicts.values())
    print(f"\r{file}: {len(verdicts)} of {len(found)} mutants, {survivors} survived", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Make mutants of the engine and show what no test notices.")
    parser.add_argument("files", nargs="*", help="files below chapar_sourcing, such as fold.py owner/claims.py")
    parser.add_argument("--most", type=int, default=0, help="try a sample of so many mutants a file; 0: all")
    parser.add_argument("--again", action="store_true", help="try survivors of an earlier run again, and no others")
    parser.add_argument("--report", action="store_true", help="write docs/mutants.md")
    given = parser.parse_args()
    if given.files:
        for name in _WARM:
            importlib.import_module(name)
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(Path(folder))
            for file in given.files:
                unsound = [check[0] for check in checks_of(file) if tree.noticed(check, sound=True)]
                if unsound:
                    sys.exit(f"{file} as it is fails the {' and the '.join(unsound)}: nothing can be learnt")
                try_file(tree, file, given.most, given.again)
    if given.report:
        sys.exit(bool(report(ROOT, STATE)))


if __name__ == "__main__":
    main()
