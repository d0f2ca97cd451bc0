"""Who owns what, put together from what each process of a service says."""

from __future__ import annotations

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.cli._owners import Row, Said, is_well, members_of, rows_of

OWNING = {"phase": "owning", "offset": 12, "checkpoint": 10}


def said(process: str, *partitions: peer.PartitionOwner) -> Said:
    return Said(process, f"{process}:1", peer.OwnersResponse(partitions=partitions))


def announced(partition: int, epoch: int, address: str, *, released: bool = False) -> peer.PartitionOwner:
    return peer.PartitionOwner(partition=partition, epoch=epoch, address=address, released=released)


def held(partition: int, epoch: int, address: str, own: int, **fields: object) -> peer.PartitionOwner:
    owner = announced(partition, epoch, address)
    owner.held.CopyFrom(peer.PartitionHeld(epoch=own, **{**OWNING, **fields}))  # type: ignore[arg-type]
    return owner


def test_whoever_owns_a_partition_says_how_it_goes() -> None:
    (row,) = rows_of([said("a", announced(0, 3, "b:1")), said("b", held(0, 3, "b:1", 3)), Said("c", "c:1", None)])
    assert row == Row(0, 3, "b", "owning", 12, 2, "")
    assert is_well(row)


def test_an_owner_of_a_higher_epoch_counts_whatever_a_sleeper_says() -> None:
    sleeper, successor = said("a", held(0, 3, "a:1", 3)), said("b", held(0, 4, "b:1", 4))
    for answers in ([sleeper, successor], [successor, sleeper]):
        assert [row.process for row in rows_of(answers)] == ["b"]
    knows, away = said("c", announced(0, 4, "b:1")), Said("b", "b:1", None)
    (row,) = rows_of([sleeper, knows, away])
    assert (row.epoch, row.process, is_well(row)) == (4, "b", False)


def test_an_owner_of_another_machine_is_shown_by_its_address() -> None:
    (row,) = rows_of([said("a", announced(0, 3, "10.0.0.1:7000"))])
    assert (row.process, is_well(row)) == ("10.0.0.1:7000", False)


def test_what_nobody_owns_is_said_to_be_nobodys() -> None:
    rows = rows_of([said("a", announced(0, 0, ""), announced(1, 3, "b:1", released=True))])
    assert [(row.process, row.problem) for row in rows] == [("", "nobody owns it")] * 2


def test_a_problem_of_the_owner_is_not_well() -> None:
    (row,) = rows_of([said("a", held(0, 3, "a:1", 3, problem="the store is away"))])
    assert not is_well(row)


def test_whoever_takes_a_partition_over_is_shown_before_it_owns() -> None:
    (row,) = rows_of([said("a", held(0, 3, "b:1", 4, phase="claiming"))])
    assert (row.process, row.phase, is_well(row)) == ("a", "claiming", False)


def test_members_are_shown_by_name_with_what_keeps_them_from_owning() -> None:
    members = [
        peer.MemberSeen(address="a:1", alive=True),
        peer.MemberSeen(address="b:1", alive=True, draining=True),
        peer.MemberSeen(address="10.0.0.1:7000", alive=True, unfit=True),
        peer.MemberSeen(address="d:1"),
        peer.MemberSeen(alive=True),
    ]
    one = Said("a", "a:1", peer.OwnersResponse(members=members))
    assert members_of(one, {"a:1": "a", "b:1": "b", "d:1": "d"}) == ["a", "b (ends)", "10.0.0.1:7000 (cannot own)"]
