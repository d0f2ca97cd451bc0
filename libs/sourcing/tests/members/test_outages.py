"""The log of beats is away for all, and they come back one after the other: nobody who lives is expired by it."""

from __future__ import annotations

import itertools
import random

import pytest

from chapar_sourcing.members.pace import BEAT_DEADLINE_SECONDS
from chapar_sourcing.members.peers import EXPIRY_BEATS

from .world import INTERVAL, PARTITIONS, Process, World

OUTAGE_SECONDS = 5.0
LATEST = BEAT_DEADLINE_SECONDS + INTERVAL
"""Who had just begun a try when the log came back waits until that is given up, and an interval more."""
TAKEN_BY_BEATS = 17
"""Own beats after its return within which a member has taken over what a dead one left: eight that do not count, five
of silence, two at which it ranks best, and two under way."""
RETURNS = [(0.0, 0.7, LATEST), (0.0, LATEST, LATEST), (0.4, 0.0, 1.2)]


def at_rest(seed: int) -> World:
    """Three members that own everything between them."""
    world = World(random.Random(seed), claims_lost=0, claims_stopped=0)
    for _ in range(3):
        world.start()
    world.run(60)
    assert {p: world.owner(p) for p in range(PARTITIONS)} == world.best()
    return world


def beats_of(world: World, process: Process) -> int:
    return sum(beat.member == process.member and not beat.extra for beat in world.beats)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("returns", RETURNS)
def test_nothing_moves_where_the_log_was_away_and_members_return_one_after_the_other(
    seed: int, returns: tuple[float, ...]
) -> None:
    world = at_rest(seed)
    owned, claims = dict(world.journal), world.counts["claimed"]
    for process, later in zip(world.members, returns, strict=True):
        process.cut_off(OUTAGE_SECONDS + later)
    world.run(OUTAGE_SECONDS + LATEST + 20)
    assert world.journal == owned
    assert world.counts["claimed"] == claims
    for process in world.members:
        assert process.machine.settled


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("returns", RETURNS)
def test_who_died_while_the_log_was_away_is_succeeded_within_a_bound(seed: int, returns: tuple[float, ...]) -> None:
    world = at_rest(seed)
    dead = next(process for process in world.members if process.member == world.owner(0))
    living = [process for process in world.members if process is not dead]
    left = [p for p, (_, member) in world.journal.items() if member == dead.member]
    kept = {p: row for p, row in world.journal.items() if p not in left}
    for process, later in zip(world.members, returns, strict=True):
        process.cut_off(OUTAGE_SECONDS + later)
    dead.kill()
    world.run(OUTAGE_SECONDS + max(returns))
    before = {process.member: beats_of(world, process) for process in living}
    for _ in itertools.count():
        if all(world.owner(p) for p in left):
            break
        world.run(0.05)
        assert all(beats_of(world, p) - before[p.member] <= TAKEN_BY_BEATS for p in living)
    assert {p: row for p, row in world.journal.items() if p not in left} == kept


def test_one_late_beat_of_a_member_does_not_keep_it_from_judging() -> None:
    """Only a whole second without the log does: five beats of silence are enough after a beat lost at once."""
    world = at_rest(0)
    dead = next(process for process in world.members if process.member == world.owner(0))
    left = [p for p, (_, member) in world.journal.items() if member == dead.member]
    for process in world.members:
        process.cut_off(INTERVAL / 2)
    dead.kill()
    world.run((EXPIRY_BEATS + 4) * 2 * INTERVAL)
    assert all(world.owner(p) for p in left)
