"""Partitions that an operator has placed: who should own them, and how they get there."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar_sourcing.members import (
    BeatRead,
    DrainStarted,
    PlacementRead,
    PlacementRefused,
    Quit,
    Release,
    Seen,
    check_placement,
)
from chapar_sourcing.members.machine import OUTRANKED_SECONDS
from chapar_sourcing.members.placements import OPERATOR_CHARACTERS_MAX, REASON_CHARACTERS_MAX, Placements
from chapar_sourcing.members.ranking import assigned, load_max, weight
from chapar_sourcing.ports.members import Beat, Placement

from .rig import INTERVAL, ME, Rig, address_of, member, mine
from .test_machine import owning

OTHER, THIRD = member(1), member(2)
MEMBERS = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=12, unique=True)


def placed(partition: int, address: str) -> Placement:
    return Placement(partition, address, "too hot", "operator", 1)


def place(rig: Rig, partition: int, whom: bytes | None) -> None:
    """An operator says where a partition belongs; None for anywhere."""
    rig.pass_through(rig.give(PlacementRead(placed(partition, "" if whom is None else address_of(whom)))))


def released(rig: Rig) -> list[tuple[int, str]]:
    return [(effect.partition, effect.successor) for effect in rig.take(Release)]


# ---- who should own what


@settings(deadline=None)
@given(partitions=st.integers(1, 64), members=MEMBERS, drawn=st.data())
def test_what_is_placed_is_there_and_the_rest_is_even(
    partitions: int, members: list[bytes], drawn: st.DataObject
) -> None:
    placements = drawn.draw(st.dictionaries(st.integers(0, partitions - 1), st.sampled_from(members)))
    result = assigned(partitions, members, placements)
    assert set(result) == set(range(partitions))
    assert {p: result[p] for p in placements} == placements
    loads, wanted = Counter(result.values()), Counter(placements.values())
    assert all(loads[m] <= max(load_max(partitions, len(members)), wanted[m]) for m in members)


def test_few_others_move_for_one_that_is_placed() -> None:
    members = [bytes([n]) * 16 for n in range(8)]
    before = assigned(256, members)
    for partition in range(0, 256, 16):
        after = assigned(256, members, {partition: members[3]})
        assert len([p for p in range(256) if p != partition and before[p] != after[p]]) <= 8


def test_of_two_at_one_address_the_heavier_pair_is_joined_by_everybody() -> None:
    placements = Placements(8)
    for partition in range(8):
        placements.said(placed(partition, "a:1"))
    addresses = {OTHER: "a:1", THIRD: "a:1", ME: "b:1"}
    found = placements.members(addresses)
    assert found == {p: max((OTHER, THIRD), key=lambda m: weight(p, m)) for p in range(8)}
    assert found == placements.members(dict(reversed(addresses.items())))
    assert set(found.values()) == {OTHER, THIRD}


def test_the_last_word_on_a_partition_counts_and_strange_ones_do_not() -> None:
    placements = Placements(4)
    for row in (
        placed(0, "a:1"),
        placed(1, "a:1"),
        placed(0, "b:1"),
        placed(1, ""),
        placed(4, "a:1"),
        placed(-1, "a:1"),
    ):
        placements.said(row)
    assert placements.rows == {0: placed(0, "b:1")}


# ---- how it gets there


def test_an_owner_releases_what_is_placed_elsewhere_once_that_member_may_take_it() -> None:
    rig = Rig(partitions=16)
    partition = owning(rig, OTHER, THIRD)[0]
    place(rig, partition, OTHER)
    assert released(rig) == []
    rig.turn(OTHER, THIRD)
    assert released(rig) == []
    rig.turn(OTHER, THIRD)
    assert released(rig) == [(partition, address_of(OTHER))]
    assert rig.now < 100 + 6 * INTERVAL


def test_several_that_are_placed_elsewhere_are_released_one_after_the_other() -> None:
    rig = Rig(partitions=8)
    partitions = owning(rig, OTHER)[:3]
    for partition in partitions:
        place(rig, partition, OTHER)
    rig.turns(4, OTHER)
    assert [p for p, _ in released(rig)] == partitions[:1]
    rig.pass_through(rig.give(Quit(partitions[0], deposed=False)))
    assert [p for p, _ in released(rig)] == partitions[1:2]
    rig.turns(4, OTHER)
    assert released(rig) == []


def test_who_should_have_a_placed_partition_takes_it_when_it_is_released_and_others_do_not() -> None:
    for whom in (ME, THIRD):
        rig = Rig()
        foreign = next(p for p in range(4) if p not in mine(4, OTHER, THIRD))
        rig.turn(OTHER, THIRD)
        rig.announced(foreign, 1, OTHER)
        rig.turns(2, OTHER, THIRD)
        place(rig, foreign, whom)
        rig.turns(3, OTHER, THIRD)
        assert foreign not in rig.taken()
        rig.announced(foreign, 1, OTHER, released=True, successor=address_of(whom))
        rig.turn(OTHER, THIRD)
        assert (foreign in rig.taken()) == (whom == ME)


def test_nothing_moves_for_a_member_that_is_not_there_or_cannot_own() -> None:
    rig = Rig()
    partition = owning(rig, OTHER)[0]
    place(rig, partition, THIRD)
    rig.turns(10, OTHER)
    assert partition in rig.machine.placements
    rig.turns(10, OTHER, THIRD, unfit=(THIRD,))
    assert released(rig) == []


def test_a_member_that_comes_back_to_a_placed_partition_waits_as_everybody_who_out_ranks_the_owner() -> None:
    rig = Rig()
    partition = owning(rig, OTHER)[0]
    place(rig, partition, THIRD)
    rig.turns(int(OUTRANKED_SECONDS / INTERVAL) - 5, OTHER, THIRD)
    assert released(rig) == []
    rig.turns(10, OTHER, THIRD)
    assert (partition, address_of(THIRD)) in released(rig)


def test_who_owns_a_partition_that_may_be_anywhere_again_is_out_ranked_as_ever() -> None:
    rig = Rig()
    foreign = next(p for p in range(4) if p not in mine(4, OTHER))
    place(rig, foreign, ME)
    assert foreign in owning(rig, OTHER)
    place(rig, foreign, None)
    assert not rig.machine.placements
    rig.turns(int(OUTRANKED_SECONDS / INTERVAL) - 5, OTHER)
    assert released(rig) == []
    rig.turns(10, OTHER)
    assert released(rig) == [(foreign, address_of(OTHER))]


def test_nobody_goes_by_placements_beside_a_member_that_knows_none() -> None:
    rig, ranked = Rig(partitions=16), assigned(16, {ME, OTHER, THIRD})
    partition = next(p for p in owning(rig, OTHER) if ranked[p] == ME)
    place(rig, partition, OTHER)
    for sequence in range(1, int(OUTRANKED_SECONDS / INTERVAL) + 10):
        rig.give(BeatRead(Beat(THIRD, address_of(THIRD), sequence, places=False)))
        rig.turn(OTHER)
    found = [p for p, _ in released(rig)]
    assert found
    assert partition not in found


def test_a_member_that_ends_hands_over_what_is_placed_at_it() -> None:
    rig = Rig()
    partition = owning(rig, OTHER)[0]
    place(rig, partition, ME)
    rig.turns(2, OTHER)
    rig.pass_through(rig.give(DrainStarted()))
    rig.turns(8, OTHER)
    assert (partition, address_of(OTHER)) in released(rig)


def test_a_move_that_is_taken_back_in_time_moves_nothing() -> None:
    rig = Rig()
    partition = owning(rig, OTHER)[0]
    place(rig, partition, OTHER)
    rig.turn(OTHER)
    place(rig, partition, ME)
    rig.turns(int(2 * OUTRANKED_SECONDS / INTERVAL), OTHER)
    assert partition not in [p for p, _ in released(rig)]


# ---- what is refused

SEEN = (
    Seen(ME, "me:1", alive=True, draining=False, unfit=False),
    Seen(OTHER, "a:1", alive=False, draining=False, unfit=False),
    Seen(THIRD, "b:1", alive=True, draining=True, unfit=False),
    Seen(member(3), "c:1", alive=True, draining=False, unfit=True),
    Seen(member(4), "", alive=True, draining=False, unfit=False),
)


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        (placed(4, "me:1"), "no partition 4: they go from 0 to 3"),
        (placed(-1, ""), "no partition -1"),
        (placed(0, "a:1"), "no member that is alive answers at a:1; these do: b:1, c:1, me:1"),
        (placed(0, "nowhere"), "no member that is alive"),
        (placed(0, "b:1"), "about to end"),
        (placed(0, "c:1"), "cannot own anything"),
        (Placement(0, "me:1", " ", "", 1), "a reason is needed"),
        (Placement(0, "", "", "", 1), "a reason is needed"),
        (Placement(0, "me:1", "x" * (REASON_CHARACTERS_MAX + 1), "", 1), "201 characters"),
        (Placement(0, "me:1", "a\nb", "", 1), "one line"),
        (Placement(0, "me:1", "x", "o" * (OPERATOR_CHARACTERS_MAX + 1), 1), "65 characters"),
        (Placement(0, "me:1", "x", "o\x1b[0m", 1), "one line"),
    ],
)
def test_a_placement_that_cannot_hold_is_refused_in_words(placement: Placement, words: str) -> None:
    with pytest.raises(PlacementRefused, match=words):
        check_placement(placement, 4, SEEN)


def test_nothing_is_placed_beside_a_member_of_an_older_release_and_what_was_may_be_anywhere_again() -> None:
    older = Seen(OTHER, "a:1", alive=True, draining=False, unfit=False, places=False)
    with pytest.raises(PlacementRefused, match="at a:1 is of an older release"):
        check_placement(placed(0, "me:1"), 4, [*SEEN, older])
    check_placement(placed(0, ""), 4, [*SEEN, older])


def test_a_placement_that_can_hold_is_not() -> None:
    for placement in (placed(3, "me:1"), placed(0, ""), Placement(0, "me:1", "x" * REASON_CHARACTERS_MAX, "", 1)):
        check_placement(placement, 4, SEEN)
