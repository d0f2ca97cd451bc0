"""What an operator can ask of a rebuild, and which edition that means in a partition."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from chapar_sourcing.editions import Editions, Stage


class RebuildRefused(Exception):
    """Not now, or not so. The text is for the operator."""


class Step(Enum):
    """What an operator asks for."""

    REBUILD = "rebuild"
    """Build a new edition from the log and switch to it."""
    SWITCH_BACK = "switch back"
    """Bring the kept edition up to date and switch to it."""
    DROP = "drop"
    """Delete whatever stands beside the live edition."""


def check_owned(wanted: Collection[int], owned: Collection[int], *, service_partitions: int) -> None:
    """Raises `RebuildRefused` where a process that owns these partitions cannot do it in those that are wanted."""
    if strangers := [number for number in wanted if not 0 <= number < service_partitions]:
        raise RebuildRefused(f"the service has no partition {min(strangers)}")
    if missing := set(wanted) - set(owned):
        raise RebuildRefused(f"this process does not own partition {min(missing)}, or not yet")


def goal_of(step: Step, editions: Editions) -> int | None:
    """The edition that a step builds in a partition; None where it was done before. Raises `RebuildRefused`.

    A rebuild goes to a higher number, going back to a lower one.
    """
    if editions.stage is Stage.DROPPING:
        raise RebuildRefused(f"edition {editions.other} is being dropped: finish that first")
    if step is Step.REBUILD and editions.other is None:
        return editions.newest + 1
    if step is Step.SWITCH_BACK and editions.other is None:
        raise RebuildRefused("no edition was kept to switch back to")
    assert editions.other is not None, "there is another one"
    forward = editions.other > editions.live
    if forward is (step is Step.REBUILD):
        if editions.stage is Stage.KEPT and forward:
            raise RebuildRefused(f"edition {editions.other} was switched back from: drop it first")
        return editions.other
    if editions.stage is Stage.BUILDING:
        raise RebuildRefused(f"edition {editions.other} is being built: finish or drop it first")
    return None
