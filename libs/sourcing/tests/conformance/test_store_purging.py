"""What every Store promises of purging: old answers and old tombstones go, nothing else does, in bounded steps."""

from __future__ import annotations

import pytest

from chapar_sourcing.domain import ANSWER_KIND, Key, ordered
from chapar_sourcing.ports import DocumentWrite, Expiry, Store
from chapar_sourcing.positions import Position

EXPIRY = Expiry(answers_before_ms=100, tombstones_before_ms=1_000)
OLD_ANSWER = Key(ANSWER_KIND, "user:a", "01")
YOUNG_ANSWER = Key(ANSWER_KIND, "user:a", "02")
OLD_TOMBSTONE = Key("note", "b", "1")
YOUNG_TOMBSTONE = Key("note", "b", "2")
OLD_DOCUMENT = Key("note", "b", "3")
REVIVED = Key("note", "b", "4")
WRITES = [
    DocumentWrite(OLD_ANSWER, Position(1, 0), b"answer", 99),
    DocumentWrite(YOUNG_ANSWER, Position(2, 0), b"answer", 100),
    DocumentWrite(OLD_TOMBSTONE, Position(3, 0), None, 999),
    DocumentWrite(YOUNG_TOMBSTONE, Position(4, 0), None, 1_000),
    DocumentWrite(OLD_DOCUMENT, Position(1, 1), b"note", 1),
    DocumentWrite(REVIVED, Position(1, 2), None, 1),
    DocumentWrite(REVIVED, Position(5, 0), b"again", 1),
]


async def keys(store: Store, partition: int = 0) -> set[Key]:
    return {key for key, _ in await store.documents(partition, at_least=-1, after=None)}


async def walked(store: Store, expiry: Expiry, *, limit: int) -> tuple[int, int]:
    """(documents that went, steps) of a walk from end to end."""
    gone = steps = 0
    after: Key | None = None
    while steps == 0 or after is not None:
        purged = await store.purge(0, expiry, after=after, limit=limit)
        assert purged.documents <= limit
        gone, steps, after = gone + purged.documents, steps + 1, purged.last
    return gone, steps


async def test_old_answers_and_old_tombstones_go_and_nothing_else(store: Store) -> None:
    await store.write_documents(0, WRITES)
    await store.write_documents(1, WRITES)
    purged = await store.purge(0, EXPIRY, after=None)
    assert (purged.documents, purged.last) == (2, None)
    assert await keys(store) == {YOUNG_ANSWER, YOUNG_TOMBSTONE, OLD_DOCUMENT, REVIVED}
    assert len(await keys(store, 1)) == 6
    assert (await store.purge(0, EXPIRY, after=None)).documents == 0


async def test_answers_may_be_kept_for_ever(store: Store) -> None:
    await store.write_documents(0, WRITES)
    purged = await store.purge(0, Expiry(None, 1 << 60), after=None)
    assert purged.documents == 2
    assert await keys(store) == {OLD_ANSWER, YOUNG_ANSWER, OLD_DOCUMENT, REVIVED}


async def test_a_document_goes_by_the_time_of_its_last_change(store: Store) -> None:
    await store.write_documents(0, [DocumentWrite(OLD_TOMBSTONE, Position(1, 0), b"note", 1)])
    await store.write_documents(0, [DocumentWrite(OLD_TOMBSTONE, Position(2, 0), None, 2_000)])
    await store.write_documents(0, [DocumentWrite(OLD_TOMBSTONE, Position(1, 5), None, 3)])
    assert (await store.purge(0, EXPIRY, after=None)).documents == 0


async def test_what_was_purged_can_be_written_again(store: Store) -> None:
    await store.write_documents(0, WRITES)
    await store.purge(0, EXPIRY, after=None)
    await store.write_documents(0, [DocumentWrite(OLD_TOMBSTONE, Position(9, 0), b"new", 9)])
    found = await store.load(0, [OLD_TOMBSTONE], at_least=-1)
    assert found[OLD_TOMBSTONE].data == b"new"


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
async def test_a_walk_in_steps_sees_every_document_once(store: Store, limit: int) -> None:
    notes = [Key("note", parent, ordered(n)) for parent in ("b", "پیام", "😀") for n in range(7)]
    old = [DocumentWrite(key, Position(n, 0), None if n % 2 else b"x", 5) for n, key in enumerate(notes)]
    await store.write_documents(0, [*old, *WRITES])
    gone, steps = await walked(store, EXPIRY, limit=limit)
    assert gone == 10 + 2
    assert steps <= (len(notes) + 6) // limit + 1
    assert await keys(store) == {*notes[::2], YOUNG_ANSWER, YOUNG_TOMBSTONE, OLD_DOCUMENT, REVIVED}


async def test_an_empty_partition_has_nothing_to_purge(store: Store) -> None:
    assert await walked(store, EXPIRY, limit=10) == (0, 1)
