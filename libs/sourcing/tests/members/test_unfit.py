"""Members that cannot own: what they let go of, what others take, and what happens where nobody can."""

from __future__ import annotations

import random

import pytest

from chapar_sourcing.members import Alarmed, ClaimAsked, Hindrance, MayClaim, Owning, Quit, Release
from chapar_sourcing.members.fitness import FIT_BEATS, RETRY_BEATS, STUCK_BEATS, UNFIT_BEATS
from chapar_sourcing.members.holdings import Stage
from chapar_sourcing.members.machine import OUTRANKED_SECONDS

from .rig import INTERVAL, Rig, member, mine
from .test_machine import owning
from .world import PARTITIONS, World

OTHER, THIRD = member(1), member(2)
HINDRANCES = [Hindrance.TAKING, Hindrance.DECIDING]


def released(rig: Rig) -> list[tuple[int, bool]]:
    """(partition, whether it decided here) of what it let go of since last asked."""
    return [(effect.partition, effect.owned) for effect in rig.take(Release)]


# ---- one's own judgement


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_member_that_is_hindered_for_five_seconds_says_so_until_it_was_not_for_ten(hindrance: Hindrance) -> None:
    rig = Rig()
    owning(rig, OTHER)
    rig.hinder(hindrance)
    rig.turns(UNFIT_BEATS, OTHER)
    assert not any(beat.unfit for beat in rig.sent)
    rig.turn(OTHER)
    assert rig.sent[-1].unfit
    assert not rig.machine.settled
    rig.turns(100, OTHER)
    rig.hinder(Hindrance.NONE)
    rig.turns(FIT_BEATS, OTHER)
    assert rig.sent[-1].unfit
    rig.turn(OTHER)
    assert not rig.sent[-1].unfit


def test_a_hindrance_that_comes_and_goes_changes_nothing() -> None:
    rig = Rig(partitions=8)
    owning(rig, OTHER)
    for _ in range(40):
        rig.hinder(Hindrance.DECIDING)
        rig.turns(UNFIT_BEATS - 1, OTHER)
        rig.hinder(Hindrance.NONE)
        rig.turn(OTHER)
    assert not any(beat.unfit for beat in rig.sent)
    assert released(rig) == []


def test_whoever_is_unfit_and_hindered_now_and_then_stays_so() -> None:
    rig = Rig()
    owning(rig, OTHER)
    rig.hinder(Hindrance.TAKING)
    rig.turns(UNFIT_BEATS, OTHER)
    for _ in range(10):
        rig.hinder(Hindrance.NONE)
        rig.turns(FIT_BEATS - 2, OTHER)
        rig.hinder(Hindrance.TAKING)
        rig.turn(OTHER)
        assert rig.sent[-1].unfit


# ---- what it lets go of


def test_whoever_decides_nothing_releases_all_at_once_to_those_who_can() -> None:
    rig = Rig(partitions=8)
    taken = owning(rig, OTHER)
    rig.hinder(Hindrance.DECIDING)
    rig.turns(UNFIT_BEATS, OTHER)
    assert released(rig) == [(partition, True) for partition in taken]
    for partition in taken:
        rig.give(Quit(partition, deposed=False))
    rig.turns(20, OTHER)
    assert rig.taken() == []


def test_whoever_takes_nothing_over_goes_on_with_what_it_owns_and_releases_it_one_after_the_other() -> None:
    rig = Rig(partitions=8)
    taken = owning(rig, OTHER)
    rig.hinder(Hindrance.TAKING)
    rig.turns(UNFIT_BEATS + int(OUTRANKED_SECONDS / INTERVAL) - 1, OTHER)
    assert released(rig) == []
    rig.turns(3, OTHER)
    assert released(rig) == [(taken[0], True)]


@pytest.mark.parametrize("claiming", [False, True])
@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_what_an_unfit_member_does_not_own_yet_it_lets_go_of(hindrance: Hindrance, claiming: bool) -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken = rig.taken()
    if claiming:
        for partition in taken:
            rig.pass_through(rig.give(ClaimAsked(partition, 0, first=True)))
        assert len(rig.take(MayClaim)) == len(taken)
    rig.hinder(hindrance)
    rig.turns(UNFIT_BEATS, OTHER)
    assert released(rig) == [(partition, False) for partition in taken]


def test_the_only_member_keeps_what_it_has_whatever_hinders_it() -> None:
    rig = Rig(partitions=4)
    owning(rig)
    rig.hinder(Hindrance.DECIDING)
    rig.turns(200)
    assert released(rig) == []
    assert all(rig.machine.stage(partition) is Stage.OWNING for partition in range(4))
    assert rig.machine.settled, "that it decides nothing, its health tells"


def test_where_nobody_is_fit_nothing_moves() -> None:
    rig = Rig(partitions=8)
    owning(rig)
    rig.hinder(Hindrance.DECIDING)
    rig.turns(2 * int(OUTRANKED_SECONDS / INTERVAL), OTHER, unfit=(OTHER,))
    assert released(rig) == []
    rig.turns(3, OTHER)
    assert sorted(released(rig)) == [(partition, True) for partition in range(8)]


def test_where_nobody_is_fit_what_nobody_owns_is_taken_all_the_same() -> None:
    rig = Rig(partitions=8)
    rig.turns(1, OTHER)
    rig.hinder(Hindrance.TAKING)
    rig.turns(UNFIT_BEATS - 1, OTHER)
    rig.turns(5, OTHER, unfit=(OTHER,))
    assert rig.sent[-1].unfit
    assert rig.taken() == mine(8, OTHER)
    assert released(rig) == []


def test_an_alarmed_partition_stays_where_it_is() -> None:
    rig = Rig(partitions=8)
    alarmed, *rest = owning(rig, OTHER)
    rig.give(Alarmed(alarmed))
    rig.hinder(Hindrance.DECIDING)
    rig.turns(UNFIT_BEATS, OTHER)
    assert released(rig) == [(partition, True) for partition in rest]
    rig.turns(int(OUTRANKED_SECONDS / INTERVAL) + 2, OTHER)
    assert released(rig) == []


# ---- being stuck


def test_a_member_that_could_take_nothing_over_lets_go_and_tries_again_five_minutes_later() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken = rig.taken()
    rig.turns(STUCK_BEATS - 1, OTHER)
    assert released(rig) == []
    rig.turn(OTHER)
    assert released(rig) == [(partition, False) for partition in taken]
    for partition in taken:
        rig.give(Quit(partition, deposed=False))
    rig.turns(RETRY_BEATS - 1, OTHER)
    assert rig.taken() == []
    rig.turns(2, OTHER)
    assert rig.taken() == taken


def test_whoever_owns_something_is_not_stuck() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    (first, *_) = rig.taken()
    rig.pass_through(rig.give(ClaimAsked(first, 0, first=True)))
    rig.pass_through(rig.give(Owning(first, 1)))
    rig.turns(2 * STUCK_BEATS, OTHER)
    assert released(rig) == []
    assert not any(beat.unfit for beat in rig.sent)


def test_whoever_holds_nothing_but_alarmed_partitions_is_not_stuck() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    for partition in rig.taken():
        rig.give(Alarmed(partition))
    rig.turns(2 * STUCK_BEATS, OTHER)
    assert released(rig) == []


def test_whoever_is_hindered_is_not_stuck_as_well() -> None:
    rig = Rig(partitions=8)
    rig.hinder(Hindrance.DECIDING)
    rig.turns(2 * STUCK_BEATS, OTHER, unfit=(OTHER,))
    assert rig.sent[-1].unfit
    rig.hinder(Hindrance.NONE)
    rig.turns(FIT_BEATS + 1, OTHER, unfit=(OTHER,))
    assert not rig.sent[-1].unfit


def test_whoever_takes_something_over_after_all_is_fit_at_once() -> None:
    rig = Rig(partitions=8)
    rig.turns(2)
    rig.taken()
    rig.turns(STUCK_BEATS + 1)
    assert rig.sent[-1].unfit
    rig.pass_through(rig.give(Owning(0, 1)))
    rig.turn()
    assert not rig.sent[-1].unfit


# ---- others


def test_members_that_say_they_are_unfit_rank_nowhere_beside_those_that_are_not() -> None:
    rig = Rig(partitions=8)
    rig.turns(3, OTHER, THIRD, unfit=(OTHER,))
    assert rig.taken() == mine(8, THIRD)


def test_a_fit_member_takes_what_an_unfit_one_released_and_leaves_what_it_owns() -> None:
    rig = Rig(partitions=8)
    for partition in range(8):
        rig.announced(partition, 3, OTHER)
    rig.turns(5, OTHER, unfit=(OTHER,))
    assert rig.taken() == []
    rig.announced(0, 3, OTHER, released=True)
    assert rig.taken() == [0]


@pytest.mark.parametrize("hindrance", HINDRANCES)
@pytest.mark.parametrize("seed", range(3))
def test_others_own_what_a_hindered_member_had_and_it_comes_back(seed: int, hindrance: Hindrance) -> None:
    world = World(random.Random(seed), claims_lost=0, claims_stopped=0)
    for _ in range(3):
        world.start()
    world.run(60)
    hindered = next(process for process in world.members if process.member == world.owner(0))
    hindered.hinder(hindrance, 120)
    world.run(120)
    assert {world.owner(p) for p in range(PARTITIONS)} == {p.member for p in world.members if p is not hindered}
    assert all(process.machine.settled for process in world.members if process is not hindered)
    world.run(100)
    assert {p: world.owner(p) for p in range(PARTITIONS)} == world.best()


@pytest.mark.parametrize("seed", range(3))
def test_a_hindrance_of_all_members_moves_nothing_but_by_the_first_that_still_can(seed: int) -> None:
    """They notice it one after the other: what moves meanwhile moves once, and not back."""
    world = World(random.Random(seed), claims_lost=0, claims_stopped=0)
    for _ in range(3):
        world.start()
    world.run(60)
    for number, process in enumerate(world.members):
        world.after(number, lambda process=process: process.hinder(Hindrance.DECIDING, 300))
    world.run(60)
    owned, released_ = dict(world.journal), world.counts["released"]
    world.run(200)
    assert world.journal == owned
    assert world.counts["released"] == released_ <= 2 * PARTITIONS
    world.run(200)
    assert {p: world.owner(p) for p in range(PARTITIONS)} == world.best()
