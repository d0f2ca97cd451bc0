"""A partition's log written into an empty journal from its archive, at the very offsets that it had.

Positions in documents, claims, cursors and creations are offsets, so offsets are kept. Where a log has gaps (a broker
may leave some), records that count for nobody stand in for them. The log ends with a claim that nobody owns by: its
epoch is far above all that the lost rest of the old log can have held, so that no cursor, epoch or late block of that
rest is ever taken for one of the new history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import ZERO_HASH, FoldState, LogDamaged, Verdict, fold
from chapar_sourcing.ports import AppendRejected, AppendUnknown, Journal, JournalRecord, Unavailable

EPOCHS_SKIPPED = 1 << 20
"""More claims than the lost end of a log can hold."""
GAP_RECORDS_MAX = 1_000_000
PAGE_RECORDS = 500

STAND_IN = journal.Record(
    claim=journal.Claim(writer=bytes(16), folded_offset=-1, folded_hash=ZERO_HASH)
).SerializeToString()
"""A claim of epoch 0, which is void wherever it stands."""


class TargetNotEmpty(RuntimeError):
    """What is to be restored into holds something else already."""


async def restore_partition(
    records: Iterator[JournalRecord], journal_: Journal, partition: int, end: FoldState, writer: bytes,
    *, each: Callable[[int], None] = lambda _: None,
) -> FoldState:  # fmt: skip
    """Writes what of these records is not there yet, then the claim; reads all of it back and folds it.

    `end` is the fold after the last of the records. `each` is told of bytes written. Running it again after a failure
    goes on. Raises `TargetNotEmpty` where the journal holds anything else, `LogDamaged` where it holds not what was
    written, `Unavailable` where it cannot be written now.
    """
    there = await _matching(dense(records), journal_, partition, each)
    if there is None:
        return await _read_back(journal_, partition, end)
    place, left = there
    for record in left:
        await _append(journal_, partition, record, each)
        place = record.offset + 1
    if place != end.offset + 1:
        raise LogDamaged(f"the archive of partition {partition} ends at {place - 1}, not at {end.offset}")
    await _append(journal_, partition, JournalRecord(place, last_claim(end, writer)), each)
    return await _read_back(journal_, partition, end)


def dense(records: Iterator[JournalRecord]) -> Iterator[JournalRecord]:
    """The records from offset 0 on with something void in each gap. Raises `LogDamaged` where one is too wide."""
    place = 0
    for record in records:
        if record.offset - place > GAP_RECORDS_MAX:
            raise LogDamaged(f"{record.offset - place} offsets before {record.offset} are missing: too many to fill")
        for offset in range(place, record.offset):
            yield JournalRecord(offset, STAND_IN)
        yield record
        place = record.offset + 1


def last_claim(end: FoldState, writer: bytes) -> bytes:
    """The record that ends a restored log."""
    claim = journal.Claim(
        epoch=end.epoch + EPOCHS_SKIPPED,
        writer=writer,
        folded_offset=end.offset,
        folded_hash=end.hash,
        time_ms=end.time_ms,
        generation=1,
        schema_level=end.schema_level,
    )
    return journal.Record(claim=claim).SerializeToString()


async def _matching(
    records: Iterator[JournalRecord], journal_: Journal, partition: int, each: Callable[[int], None]
) -> tuple[int, Iterator[JournalRecord]] | None:
    """The next offset and the records left, after those that the journal holds already; None when it holds all."""
    place = 0
    while found := await journal_.read(partition, place, records_max=PAGE_RECORDS):
        for there in found:
            record = next(records, None)
            if record is None:
                if _is_last(there) and not await journal_.read(partition, there.offset + 1, records_max=1):
                    return None
                raise _other(partition, there.offset)
            if there != record:
                raise _other(partition, there.offset)
            each(len(record.data))
            place = there.offset + 1
    return place, records


def _is_last(record: JournalRecord) -> bool:
    claim = journal.Record.FromString(record.data).claim
    return claim.epoch >= EPOCHS_SKIPPED and not claim.address


def _other(partition: int, offset: int) -> TargetNotEmpty:
    return TargetNotEmpty(
        f"partition {partition} holds at offset {offset} what this backup does not: restore into an empty installation"
    )


async def _append(journal_: Journal, partition: int, record: JournalRecord, each: Callable[[int], None]) -> None:
    """Appends one record, and nothing after it before it is known to be where it belongs."""
    try:
        appended = await journal_.append(partition, record.data)
    except (AppendRejected, AppendUnknown) as error:
        raise Unavailable(f"partition {partition} cannot be written at {record.offset}: {error}") from error
    if appended.offset is not None and appended.offset != record.offset:
        raise LogDamaged(
            f"partition {partition}: record {record.offset} came to stand at {appended.offset}; somebody else"
            " writes, or what was here was deleted: restore into an installation that is empty and new"
        )
    each(len(record.data))


async def _read_back(journal_: Journal, partition: int, end: FoldState) -> FoldState:
    """Folds what the journal holds now; says the state after its last claim."""
    state, before = FoldState(), FoldState()
    while found := await journal_.read(partition, state.offset + 1, records_max=PAGE_RECORDS):
        for record in found:
            before = state
            state, verdict, _ = fold(state, record.offset, record.data)
    restored = (before.offset, before.hash, before.sequence, before.epoch)
    if restored != (end.offset, end.hash, end.sequence, end.epoch) or verdict is not Verdict.CLAIM:
        raise LogDamaged(f"partition {partition} does not fold to what its archive folds to: nothing may use it")
    return state
