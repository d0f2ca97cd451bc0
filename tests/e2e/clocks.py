"""Processes whose clock of the day is off while all others are right: what Python asks it is answered otherwise.

All that our processes do by the time of day goes by `time.time_ns`. `time.time` stays right: gRPC compares it with
deadlines that its core makes from the machine's clock, which is off as well where that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_WRONG = """
import os, sys, time

PLACE = os.path.join(os.environ["TEST_CLOCKS"], sys.orig_argv[2] if len(sys.orig_argv) > 2 else "none")
RIGHT_NS = time.time_ns

def off_s():
    try:
        with open(PLACE) as file:
            return int(file.read() or 0)
    except FileNotFoundError:
        return 0

time.time_ns = lambda: RIGHT_NS() + off_s() * 1_000_000_000
"""
"""What Python runs before anything else, where it finds it as `sitecustomize`."""


class Clock:
    """The clocks of services, turned in a folder that their processes look at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "sitecustomize.py").write_text(_WRONG)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the processes are started with."""
        return {"PYTHONPATH": str(self._folder), "TEST_CLOCKS": str(self._folder)}

    def turn(self, service: str, off_s: int) -> None:
        """From now on all processes of the service believe it is so much later; 0: they are right."""
        place = self._folder / f"chapar_{service}"
        partial = place.with_suffix(".partial")
        partial.write_text(f"{off_s}")
        partial.rename(place)


def said_of_the_clock(problems: Mapping[str, int]) -> bool:
    """Whether a process says that its clock is off, and what to do."""
    words = ("off the journal's, or was: nothing is decided", "Set the machine's clock right")
    return any(all(word in problem for word in words) for problem in problems)
