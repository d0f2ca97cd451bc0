"""Who should own what: even, the same for everybody, and little moves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar_sourcing.members.ranking import assigned, load_max, weight

MEMBERS = st.sets(st.binary(min_size=16, max_size=16), min_size=1, max_size=24)


@given(partitions=st.integers(1, 256), members=MEMBERS)
def test_every_partition_has_a_member_and_nobody_too_many(partitions: int, members: set[bytes]) -> None:
    result = assigned(partitions, members)
    assert set(result) == set(range(partitions))
    assert set(result.values()) <= members
    assert max(Counter(result.values()).values()) <= load_max(partitions, len(members))


@given(partitions=st.integers(1, 64), members=MEMBERS)
def test_whoever_has_room_and_does_not_get_a_partition_draws_it_less(partitions: int, members: set[bytes]) -> None:
    result = assigned(partitions, sorted(members))
    loads = Counter(result.values())
    for partition, chosen in result.items():
        for member in members:
            if loads[member] < load_max(partitions, len(members)):
                assert weight(partition, member) <= weight(partition, chosen)


@pytest.mark.parametrize(("partitions", "members", "load"), [(16, 1, 18), (16, 3, 6), (256, 8, 36), (4, 24, 1)])
def test_the_bound_is_a_tenth_above_the_share(partitions: int, members: int, load: int) -> None:
    assert load_max(partitions, members) == load


def test_nobody_gets_nothing() -> None:
    assert assigned(16, []) == {}


def test_weights_are_as_they_were() -> None:
    assert weight(0, bytes(16)) == 869380924605162955
    assert weight(255, b"\xff" * 16) == 11534254519818452344


def test_little_moves_beside_what_a_member_leaves() -> None:
    members = [bytes([n]) * 16 for n in range(8)]
    before, after = assigned(256, members), assigned(256, members[1:])
    moved = [p for p in range(256) if before[p] != after[p]]
    left = [p for p in range(256) if before[p] == members[0]]
    assert set(left) <= set(moved)
    assert len(moved) <= 2 * len(left)
