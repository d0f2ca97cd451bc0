"""A replay asks its store for many blocks at once, for as much as it answers, and for nothing that it cannot use."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from chapar_sourcing import ahead as module
from chapar_sourcing.ahead import Ahead
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.owner import Bounds, DocumentsLoaded, LoadFailed, OwnerPhase
from chapar_sourcing.ports import Store, Unavailable
from chapar_sourcing.positions import Position

from ..owner.accounts import Accounts, account_key, add
from ..owner.rig import Rig, Shelf, owning, successor

NAMES = "abcdefgh"


class AskedStore:
    """A shelf that notes what it is asked for, and answers no more documents at once than it can."""

    def __init__(self, shelf: Shelf, answers_max: int = 1_000) -> None:
        self.asked: list[tuple[Key, ...]] = []
        self.answers_max = answers_max
        self._shelf = shelf

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """What is there."""
        assert partition == 0
        self.asked.append(tuple(keys))
        if len(keys) > self.answers_max:
            raise Unavailable("not in time")
        return {key: self._shelf.documents[key] for key in keys if key in self._shelf.documents}


def accounts(names: str) -> tuple[Key, ...]:
    return tuple(account_key(name) for name in names)


def asking(rig: Rig, store: AskedStore, documents_max: int = 200) -> Ahead:
    return Ahead(
        partition=0, domain=Accounts(), owner=rig.owner, store=cast("Store", store), documents_max=documents_max
    )


def looking_ahead(rig: Rig, answers_max: int = 1_000, documents_max: int = 200) -> tuple[Ahead, AskedStore]:
    """A successor that has read its log and looks ahead."""
    store = AskedStore(rig.shelf, answers_max)
    ahead = asking(rig, store, documents_max)
    rig.start()
    ahead.take(rig.log.records)
    rig.read()
    return ahead, store


async def replayed(rig: Rig, ahead: Ahead) -> None:
    """Answers loads until there are none."""
    for _ in range(100):
        if not rig.loads:
            rig.tick()
        if not rig.loads:
            return
        load = rig.loads.pop(0)
        try:
            found = await ahead.load(load.keys, at_least=load.at_least)
        except Unavailable:
            rig.give(LoadFailed(load.load_id))
        else:
            rig.give(DocumentsLoaded(load.load_id, dict(found)))
    raise AssertionError("it never ends")


def written(*rounds: str) -> Rig:
    """An owner that has written a block for each name of each round."""
    rig = owning()
    for names in rounds:
        for name in names:
            rig.done(add(name))
    return rig


async def test_documents_of_all_records_read_are_asked_for_at_once() -> None:
    first = written(NAMES)
    first.project(checkpoint=False)
    first.done(add("a"))
    second = successor(first)
    ahead, store = looking_ahead(second)
    await replayed(second, ahead)
    assert store.asked == [accounts(NAMES)]
    second.finish_taking_over()
    assert [second.count(name) for name in NAMES] == [2, *[1] * 7]


async def test_no_more_is_asked_for_than_the_bound_and_nothing_that_memory_knows() -> None:
    second = successor(written("abcdefg", "ab"))
    ahead, store = looking_ahead(second, documents_max=3)
    await replayed(second, ahead)
    assert store.asked == [accounts(names) for names in ("abc", "def", "g")]
    second.finish_taking_over()
    assert second.count("a") == 2


async def test_records_are_looked_into_up_to_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 1)
    second = successor(written("abc"))
    ahead, store = looking_ahead(second)
    await replayed(second, ahead)
    assert store.asked == [accounts(name) for name in "abc"]


async def test_a_store_that_answers_little_in_time_is_asked_for_less_and_then_for_more_again() -> None:
    second = successor(written(NAMES))
    ahead, store = looking_ahead(second, answers_max=2)
    await replayed(second, ahead)
    sizes = [len(keys) for keys in store.asked]
    assert sizes[0] == len(NAMES)
    assert min(sizes) <= 2
    second.finish_taking_over()
    assert all(second.count(name) == 1 for name in NAMES)


async def test_down_to_what_the_block_at_hand_lacks_and_up_again() -> None:
    second = successor(written(NAMES))
    store = AskedStore(second.shelf, answers_max=1)
    ahead = asking(second, store)
    ahead.take(second.log.records)
    for checkpoint in range(10):
        with contextlib.suppress(Unavailable):
            await ahead.load(accounts("z"), at_least=checkpoint)
    assert min(len(keys) for keys in store.asked) == 1
    store.answers_max = 1_000
    for checkpoint in range(10, 40):
        await ahead.load(accounts("z"), at_least=checkpoint)
    assert len(store.asked[-1]) == 1 + len(NAMES)


async def test_what_was_asked_at_an_older_checkpoint_is_asked_again() -> None:
    second = successor(written("abc"))
    ahead, store = looking_ahead(second)
    assert await ahead.load(accounts("a"), at_least=-1) == {}
    second.shelf.documents[account_key("b")] = stored = Stored(Position(1, 0), b"newer")
    assert await ahead.load(accounts("b"), at_least=-1) == {}
    assert len(store.asked) == 1
    assert await ahead.load(accounts("b"), at_least=1) == {account_key("b"): stored}
    assert len(store.asked) == 2


async def test_what_was_asked_before_a_question_that_failed_is_as_old_as_it_was() -> None:
    second = successor(written("abc"))
    ahead, store = looking_ahead(second)
    assert await ahead.load(accounts("a"), at_least=-1) == {}
    second.shelf.documents[account_key("b")] = stored = Stored(Position(1, 0), b"newer")
    store.answers_max = 0
    with pytest.raises(Unavailable):
        await ahead.load(accounts("b"), at_least=1)
    store.answers_max = 1_000
    assert await ahead.load(accounts("b"), at_least=1) == {account_key("b"): stored}


async def test_an_owner_that_decides_asks_the_store_each_time() -> None:
    second = successor(written("ab"))
    ahead, store = looking_ahead(second)
    second.owner.phase = OwnerPhase.OWNING
    for _ in range(2):
        await ahead.load(accounts("a"), at_least=-1)
    assert store.asked == [accounts("a")] * 2


async def test_what_was_read_before_is_no_answer_for_what_is_read_now() -> None:
    second = successor(written("ab"))
    ahead, store = looking_ahead(second)
    for _ in range(2):
        await ahead.load(accounts("a"), at_least=-1)
        ahead.take(second.log.records)
    assert store.asked == [accounts("ab")] * 2


async def test_once_all_is_folded_everything_is_asked_of_the_store() -> None:
    second = successor(written("ab"))
    ahead, store = looking_ahead(second)
    await replayed(second, ahead)
    second.finish_taking_over()
    assert second.owner.phase is OwnerPhase.OWNING
    for _ in range(2):
        await ahead.load(accounts("a"), at_least=-1)
    assert store.asked == [accounts("ab"), accounts("a"), accounts("a")]


@pytest.mark.parametrize("seed", range(40))
async def test_what_leaves_memory_in_the_middle_of_a_replay_comes_back_as_the_store_has_it(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(8)]
    first, expected = owning(), dict.fromkeys(names, 0)
    for _ in range(60):
        name = chance.choice(names)
        expected[name] += 1
        first.done(add(name))
        if chance.random() < 0.1:
            first.project(checkpoint=chance.random() < 0.3)
    second = successor(first, bounds=Bounds(documents_max=2, unprojected_max=4, answers_max=2))
    store = AskedStore(second.shelf)
    ahead = asking(second, store, documents_max=chance.choice((1, 3, 200)))
    second.start()
    for _ in range(2_000):
        if second.owner.phase is OwnerPhase.OWNING:
            break
        if second.loads and chance.random() < 0.7:
            load = second.loads.pop(0)
            second.give(DocumentsLoaded(load.load_id, dict(await ahead.load(load.keys, at_least=load.at_least))))
        elif second.reads:
            asked = second.reads[0]
            ahead.take([record for record in second.log.records if record.offset >= asked.from_offset])
            second.read()
        elif second.appends:
            second.land()
        else:
            second.project(documents_max=chance.choice((1, 100)))
            second.tick()
    assert second.owner.phase is OwnerPhase.OWNING
    for name in names:
        second.project()
        assert second.done(add(name)).reason == ""
        assert second.count(name) == expected[name] + 1


async def test_a_record_that_cannot_be_read_ends_what_is_known_ahead_and_is_told_by_the_owner() -> None:
    first = written("a")
    broken = first.log.append(b"\xff no record")
    first.log.append(first.log.records[-2].data)
    second = successor(first)
    ahead, store = looking_ahead(second)
    assert not second.alarm
    await replayed(second, ahead)
    assert store.asked == [accounts("a")]
    assert f"offset {broken} cannot be read" in second.alarm


async def test_void_blocks_ahead_change_nothing() -> None:
    first = written("a")
    first.send(add("b"))
    first.load_all()
    first.flush()
    lost = first.fail_append(certain=False)
    first.log.claimed_by_another()
    first.log.append(lost.data)
    second = successor(first)
    ahead, store = looking_ahead(second)
    await replayed(second, ahead)
    assert store.asked == [accounts("ab")]
    second.finish_taking_over()
    assert (second.count("a"), second.owner.position_of(account_key("b"))) == (1, None)
