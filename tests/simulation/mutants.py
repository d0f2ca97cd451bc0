"""Shows that each planted bug is caught, and by which seed: `python -m tests.simulation.mutants --seeds 500`.

Bugs are classes, each with a docstring that says what it does wrong: subclasses of `Owner` or `Node`, or of `Patch`
where the bug is in a function. `MODULES` lists the modules that plant them; each names its bugs in `BUGS`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chapar_sourcing.owner import Owner
from tests.simulation.node import Node
from tests.simulation.playing import Played, play_of
from tests.simulation.run import play

MODULES = (
    "tests.simulation.planted",
    "tests.simulation.planted_clocks",
    "tests.simulation.planted_evictions",
    "tests.simulation.planted_storing",
    "tests.simulation.planted_timers",
    "tests.simulation.path.planted",
    "tests.simulation.members.planted",
    "tests.simulation.blind_owner",
    "tests.simulation.blind_waiting",
    "tests.simulation.blind_path",
    "tests.simulation.blind_showing",
    "tests.simulation.blind_erasing",
    "tests.simulation.blind_members",
)
KNOWN = Path(__file__).parent / "planted.json"
"""Bug -> the lowest seed that caught it when that was last looked for: it is played first, as seeds play the same until
the code changes; where it does not notice the bug any more, all others are."""
UNFIT = "planted.<locals>"
"""In the message of a call that a planted function does not take: what was caught then is the planting."""


class Patch:
    """A bug in a function or method: `target` names it as "module:name" or "module:Class.name"; `planted` makes the
    buggy one of the sound one. It is replaced where it is defined; modules that imported it by name are named too, in
    `also`, in the same form. `lane` plays it."""

    lane: str = "owner"
    target: str
    also: tuple[str, ...] = ()

    @staticmethod
    def planted(sound: Any) -> Any:
        """The buggy function."""
        raise NotImplementedError


Bug = type[Owner] | type[Node] | type[Patch]


def bugs() -> list[Bug]:
    """Every planted bug."""
    return [bug for module in MODULES for bug in import_module(module).BUGS]


def play_with(bug: Bug, seed: int, suppressed: Container[int] = frozenset()) -> Played:
    """Plays a seed with the bug in place."""
    if issubclass(bug, Owner):
        return play(seed, suppressed, owner_class=bug)
    if issubclass(bug, Node):
        return play(seed, suppressed, node_class=bug)
    with patched(bug):
        return play_of(bug.lane)(seed, suppressed)


@contextmanager
def patched(patch: type[Patch]) -> Iterator[None]:
    """Plants a bug for as long as it lasts."""
    places = [_place(name) for name in (patch.target, *patch.also)]
    sound = [vars(holder)[name] for holder, name in places]
    buggy = patch.planted(sound[0])
    for holder, name in places:
        setattr(holder, name, buggy)
    try:
        yield
    finally:
        for (holder, name), was in zip(places, sound, strict=True):
            setattr(holder, name, was)


def _place(target: str) -> tuple[Any, str]:
    module, _, path = target.partition(":")
    holder: Any = import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        holder = getattr(holder, one)
    return holder, name


def caught(bug: Bug, seeds: int, first: int = 0) -> Played | None:
    """A seed that notices the bug: `first` if it does, which is below `seeds`; else the lowest."""
    order = (first, *(seed for seed in range(seeds) if seed != first)) if first < seeds else range(seeds)
    return next((played for seed in order if (played := play_with(bug, seed)).violation), None)


def judged(number: int, seeds: int, known: Mapping[str, int]) -> tuple[str, str, int | None]:
    """The name of the bug of this number, a line about it, and the seed that caught it."""
    bug, began = bugs()[number], time.monotonic()
    played = caught(bug, seeds, known.get(bug.__name__, 0))
    if played is not None and UNFIT in played.violation:
        return bug.__name__, f"{bug.__name__:34} DOES NOT FIT what it replaces: {played.violation}", None
    told = f"seed {played.seed:<4} {played.violation[:90]}" if played else "NOT CAUGHT"
    line = f"{bug.__name__:34} {told} ({time.monotonic() - began:.1f} s)"
    return bug.__name__, line, played.seed if played else None


def main() -> None:
    """The command: each planted bug with the seed that caught it."""
    parser = argparse.ArgumentParser(description="Show that each planted bug is caught.")
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds to try at most")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--lowest", action="store_true", help=f"look for the lowest seeds, and write {KNOWN.name}")
    given = parser.parse_args()
    known = {} if given.lowest else json.loads(KNOWN.read_text("utf-8"))
    found: dict[str, int | None] = {}
    planted = len(bugs())
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as processes:
        for name, line, seed in processes.map(judged, range(planted), repeat(given.seeds), repeat(known)):
            found[name] = seed
            print(line, flush=True)
    noticed = {name: seed for name, seed in sorted(found.items()) if seed is not None}
    if given.lowest:
        KNOWN.write_text(json.dumps(noticed, indent=1) + "\n", "utf-8")
    print(f"{len(noticed)} of {planted} caught within {given.seeds} seeds")
    sys.exit(len(noticed) < planted)


if __name__ == "__main__":
    main()
