"""Logs restored from their archive stand at their old offsets and fold to the same; where copies of logs are cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryJournal, MemoryLog
from chapar_sourcing.adapters.sqlite import SqliteJournal
from chapar_sourcing.archive import Archive
from chapar_sourcing.causes import Causes, UpTo
from chapar_sourcing.digest import digest_of, refold
from chapar_sourcing.erasures import LAST_PERIOD_MS
from chapar_sourcing.fold import FoldState, LogDamaged, Verdict, fold
from chapar_sourcing.key_copy import read_key_copy, write_key_copy
from chapar_sourcing.ports import AppendUnknown, Journal, JournalRecord, KeyRow, Unavailable
from chapar_sourcing.requests import derived_request_id
from chapar_sourcing.restoring import (
    EPOCHS_SKIPPED,
    GAP_RECORDS_MAX,
    STAND_IN,
    TargetNotEmpty,
    dense,
    restore_partition,
)

from .notebook import Notebook
from .rig import PARTITIONS
from .test_archive import archive_of, lived

WRITER = bytes(range(16))


async def archived(folder: Path) -> tuple[MemoryJournal, Archive]:
    source = MemoryJournal((await lived()).log)
    archive = archive_of(source, folder, records_max=7)
    for partition in range(PARTITIONS):
        await archive.continue_from(source, partition)
    return source, archive


async def restored(archive: Archive, target: Journal, partition: int = 0) -> FoldState:
    end = archive.end(partition).fold
    return await restore_partition(archive.records(partition), target, partition, end, WRITER)


async def test_a_restored_log_has_the_records_at_their_offsets_and_ends_with_a_claim_far_above(tmp_path: Path) -> None:
    source, archive = await archived(tmp_path / "archive")
    target = await SqliteJournal.open(tmp_path / "journal.db", partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        state = await restored(archive, target, partition)
        before = await refold(source, partition, Notebook())
        after = await refold(target, partition, Notebook())
        assert digest_of(after.documents, answers_since_ms=None) == digest_of(before.documents, answers_since_ms=None)
        assert after.state == state
        assert (state.offset, state.epoch) == (before.state.offset + 1, before.state.epoch + EPOCHS_SKIPPED)
        assert state.sequence == before.state.sequence
    await target.close()


class Interrupted:
    """Every append after so many is unknown, and is in the log all the same."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, step: str, partition: int) -> None:
        self.left -= step == "append.done"
        if self.left < 0 and step == "append.done":
            raise AppendUnknown("cut off")


@pytest.mark.parametrize("after", [0, 1, 5, 200])
async def test_an_interrupted_restore_goes_on_where_it_was(tmp_path: Path, after: int) -> None:
    source, archive = await archived(tmp_path)
    log = MemoryLog(partitions=PARTITIONS)
    records = await source.read(0, 0, records_max=10_000)
    with suppress(Unavailable):
        await restored(archive, MemoryJournal(log, fault=Interrupted(after)))
    state = await restored(archive, MemoryJournal(log))
    assert (await MemoryJournal(log).read(0, 0, records_max=10_000))[:-1] == records
    assert await restored(archive, MemoryJournal(log)) == state, "a third time changes nothing"
    assert await MemoryJournal(log).end_offset(0) == state.offset + 1


async def test_a_restore_of_an_empty_partition_goes_on_too() -> None:
    log = MemoryLog(partitions=PARTITIONS)
    states = [await restore_partition(iter(()), MemoryJournal(log), 0, FoldState(), WRITER) for _ in range(2)]
    assert states[0] == states[1]
    assert (states[0].offset, states[0].epoch) == (0, EPOCHS_SKIPPED)


async def test_a_copy_of_keys_has_none_that_says_that_its_subject_has_ended(tmp_path: Path) -> None:
    living, ended = (KeyRow(name * 16, name, period, b"wrapped") for name, period in (("a", 7), ("b", LAST_PERIOD_MS)))

    async def rows() -> AsyncIterator[KeyRow]:
        for row in (living, ended):
            yield row

    assert await write_key_copy(tmp_path / "data.keys", "messaging", rows()) == 1
    assert [*read_key_copy(tmp_path / "data.keys", "messaging")] == [living]


async def test_what_is_not_empty_is_not_restored_into(tmp_path: Path) -> None:
    source, archive = await archived(tmp_path)
    foreign = MemoryJournal((await lived(2)).log)
    end = await foreign.end_offset(0)
    with pytest.raises(TargetNotEmpty, match="empty installation"):
        await restored(archive, foreign)
    assert await foreign.end_offset(0) == end
    longer = MemoryJournal(source.log)
    await longer.append(0, STAND_IN)
    with pytest.raises(TargetNotEmpty, match="empty installation"):
        await restored(archive, longer)


async def test_a_record_that_lands_elsewhere_ends_the_restore(tmp_path: Path) -> None:
    _, archive = await archived(tmp_path)
    log = MemoryLog(partitions=PARTITIONS)
    log.ends[0] = 3  # As a topic whose first records were deleted.
    with pytest.raises(LogDamaged, match="came to stand at 3"):
        await restored(archive, MemoryJournal(log))


async def test_gaps_are_filled_with_what_counts_for_nobody(tmp_path: Path) -> None:
    source, _ = await archived(tmp_path / "whole")
    gappy = MemoryLog(partitions=PARTITIONS)
    gappy.ends[0] = 2
    for record in await source.read(0, 0, records_max=10_000):
        claim = journal.Record.FromString(record.data).claim
        if claim.epoch > 1:
            break  # It names offsets without gaps.
        gappy.append(0, record.data)
        gappy.ends[0] += record.offset % 3
    holey = MemoryJournal(gappy)
    archive = archive_of(holey, tmp_path / "holey")
    _, end = await archive.continue_from(holey, 0)
    target = MemoryJournal(MemoryLog(partitions=PARTITIONS))
    await restored(archive, target)
    found = await target.read(0, 0, records_max=10_000)
    assert [record.offset for record in found] == list(range(end.fold.offset + 2))
    kept = await holey.read(0, 0, records_max=10_000)
    assert [record for record in found[:-1] if record.data != STAND_IN] == list(kept)
    assert len(kept) < end.fold.offset


@pytest.mark.parametrize("state", [FoldState(), FoldState(epoch=4, writer=WRITER, sequence=9, hash=bytes([1]) * 32)])
def test_a_stand_in_is_void_wherever_it_is(state: FoldState) -> None:
    after, verdict, _ = fold(state, 7, STAND_IN)
    assert verdict is Verdict.VOID
    assert (after.hash, after.sequence, after.epoch) == (state.hash, state.sequence, state.epoch)


def test_a_gap_that_is_too_wide_is_refused() -> None:
    with pytest.raises(LogDamaged, match="too many to fill"):
        list(dense(iter([JournalRecord(GAP_RECORDS_MAX + 1, STAND_IN)])))


def block(state: FoldState, time_ms: int, *causes: tuple[int, int], writer: bytes = WRITER) -> bytes:
    """A block with an entry of a reactor for each (partition, time of the cause)."""
    entries = [
        journal.Entry(
            request_id=derived_request_id(caused_ms, "carry", "payments", f"{partition}"),
            actor=journal.Actor(service=f"payments/{partition}"),
        )
        for partition, caused_ms in causes
    ]
    entries.append(journal.Entry(request_id=derived_request_id(9_999, "user"), actor=journal.Actor(user="u")))
    made = journal.Block(
        epoch=1, writer=writer, sequence=state.sequence + 1, previous_hash=state.hash, time_ms=time_ms, entries=entries
    )
    return journal.Record(block=made).SerializeToString()


def log_of(*blocks: tuple[int, Sequence[tuple[int, int]]]) -> list[JournalRecord]:
    """A log of one claim and these blocks: (time, causes)."""
    claim = journal.Claim(epoch=1, writer=WRITER, folded_offset=-1, folded_hash=bytes(32))
    state, records = FoldState(), [JournalRecord(0, journal.Record(claim=claim).SerializeToString())]
    state, _, _ = fold(state, 0, records[0].data)
    for offset, (time_ms, causes) in enumerate(blocks, 1):
        records.append(JournalRecord(offset, block(state, time_ms, *causes)))
        state, _, _ = fold(state, offset, records[-1].data)
    return records


def test_causes_are_the_latest_time_of_each_partition_and_users_cause_nothing() -> None:
    causes = Causes()
    for record in log_of((50, [(3, 10), (1, 20)]), (60, [(3, 40)]), (70, [(3, 30)])):
        causes.see(record)
    assert causes.latest_ms == {3: 40, 1: 20}


def test_a_copy_goes_on_through_all_blocks_of_a_time_and_no_further() -> None:
    records = log_of((10, ()), (20, ()), (20, ()), (21, ()))
    wanted = UpTo(FoldState(), 20, 99)
    assert [wanted(record) for record in records] == [True, True, True, True, False]
    assert not wanted(records[4]), "it may be asked again"
    bounded = UpTo(FoldState(), 20, 2)
    assert [bounded(record) for record in records[:3]] == [True, True, False]


def test_a_void_block_of_a_later_time_does_not_end_a_copy() -> None:
    first = log_of()[0]
    after_claim, _, _ = fold(FoldState(), 0, first.data)
    second = journal.Claim(epoch=2, writer=bytes(16), folded_offset=0, folded_hash=after_claim.hash)
    claimed = JournalRecord(1, journal.Record(claim=second).SerializeToString())
    state, _, _ = fold(after_claim, 1, claimed.data)
    zombie = JournalRecord(2, block(after_claim, 999))
    made = journal.Block(epoch=2, writer=bytes(16), sequence=1, previous_hash=state.hash, time_ms=20)
    healthy = JournalRecord(3, journal.Record(block=made).SerializeToString())
    wanted = UpTo(FoldState(), 20, 99)
    assert [wanted(record) for record in (first, claimed, zombie, healthy)] == [True] * 4
