"""Sealed segments read back give the same fold, and whatever is not whole, or not next, is refused."""

from __future__ import annotations

import hashlib
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chapar.sourcing.segment.v1 import segment_pb2 as pb
from chapar_sourcing.adapters.memory import MemoryJournal
from chapar_sourcing.adapters.sqlite import FileRefused, SqliteJournal, SqliteJournalReader
from chapar_sourcing.archive import Archive, ArchivedLog
from chapar_sourcing.digest import digest_of, refold
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.segments import FRAME_BYTES_MAX, MAGIC, SegmentRefused, segment_name

from .notebook import Notebook
from .rig import PARTITIONS, World, running
from .test_digest import traffic


async def lived(seed: int = 1, *, lives: int = 2) -> World:
    """A log with several claims, and void records where an owner came back."""
    world, draw = World(), random.Random(seed)
    for _ in range(lives):
        async with running(world, rules=HostRules(Notebook())) as process:
            await traffic(process, draw, 60)
            await process.end()
    return world


def archive_of(journal: Any, folder: Path, **options: Any) -> Archive:
    return Archive(
        folder, journal_id=journal.journal_id, generation=journal.generation, partitions=journal.partitions, **options
    )  # fmt: skip


async def test_segments_and_the_rest_of_the_log_give_the_fold_and_the_documents_of_the_log(tmp_path: Path) -> None:
    world = await lived()
    journal = MemoryJournal(world.log)
    archive = archive_of(journal, tmp_path, records_max=7)
    for partition in range(PARTITIONS):
        written, end = await archive.continue_from(journal, partition)
        assert written == end.fold.offset + 1
    assert len(files(tmp_path, 0)) > 1
    async with running(world, rules=HostRules(Notebook())) as process:
        await traffic(process, random.Random(2), 40)
        await process.end()
    log = ArchivedLog(archive, journal)
    for partition in range(PARTITIONS):
        whole = await refold(journal, partition, Notebook())
        chained = await refold(log, partition, Notebook())
        assert chained.state == whole.state
        assert digest_of(chained.documents, answers_since_ms=None) == digest_of(whole.documents, answers_since_ms=None)
        assert whole.state.offset > archive.end(partition).fold.offset, "nothing is beyond the archive"


async def test_segments_alone_give_the_fold_where_the_journal_has_lost_what_they_hold(tmp_path: Path) -> None:
    world = await lived()
    journal = MemoryJournal(world.log)
    archive = archive_of(journal, tmp_path, records_max=5)
    _, end = await archive.continue_from(journal, 2)

    class Gone:
        async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> list[JournalRecord]:
            assert from_offset > end.fold.offset, "the archive holds it"
            return []

    assert (await refold(ArchivedLog(archive, Gone()), 2, Notebook())).state == end.fold


async def test_an_archive_goes_on_where_it_ends_however_it_was_left(tmp_path: Path) -> None:
    world = await lived()
    journal = MemoryJournal(world.log)
    archive = archive_of(journal, tmp_path, records_max=4)
    first, before = await archive.continue_from(journal, 1)
    assert await archive.continue_from(journal, 1) == (0, before)
    (tmp_path / "00001-left-behind.partial").write_bytes(MAGIC)
    async with running(world, rules=HostRules(Notebook())) as process:
        await traffic(process, random.Random(2), 40)
        await process.end()
    more, after = await archive.continue_from(journal, 1)
    assert more > 0
    assert first + more == after.fold.offset + 1
    assert (await refold(journal, 1, Notebook())).state == after.fold


async def test_another_log_is_not_archived_onto_an_archive(tmp_path: Path) -> None:
    journal = MemoryJournal((await lived()).log)
    archive = archive_of(journal, tmp_path)
    await archive.continue_from(journal, 0)
    other = MemoryJournal((await lived(2)).log)
    with pytest.raises(LogDamaged, match="does not hold what its archive says"):
        await archive.continue_from(other, 0)
    with pytest.raises(SegmentRefused, match="is of Place"):
        archive_of(other, tmp_path).end(0)


def files(folder: Path, partition: int) -> list[Path]:
    """The segments of a partition in order."""
    return sorted(folder.glob(f"{partition:05d}-*.segment"))


Spoil = Callable[[bytes], bytes]


def flipped(place: int) -> Spoil:
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def with_length(data: bytes) -> bytes:
    return data[: len(MAGIC)] + (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + data[len(MAGIC) + 4 :]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: b"", "cut"),
        (lambda data: data[:100], "cut"),
        (lambda data: data[:-1], "sum"),
        (lambda data: data[:-40], "cut|cannot be read"),
        (lambda data: data + b"x", "goes on"),
        (lambda data: b"PNG" + data[3:], "is not a segment"),
        (with_length, "longer than any"),
        (flipped(-1), "sum"),
    ],
)
async def test_a_segment_that_is_not_whole_is_refused(tmp_path: Path, spoil: Spoil, words: str) -> None:
    journal = MemoryJournal((await lived()).log)
    archive = archive_of(journal, tmp_path)
    await archive.continue_from(journal, 0)
    [path] = files(tmp_path, 0)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SegmentRefused, match=words) as refused:
        archive.end(0)
    assert path.name in str(refused.value)


async def test_any_flipped_byte_is_found(tmp_path: Path) -> None:
    journal = MemoryJournal((await lived(lives=1)).log)
    archive = archive_of(journal, tmp_path, records_max=2)
    await archive.continue_from(journal, 0)
    path = files(tmp_path, 0)[0]
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(flipped(place)(whole))
        with pytest.raises((SegmentRefused, LogDamaged)):
            archive.end(0)
    path.write_bytes(whole)
    archive.end(0)


async def test_gaps_strangers_and_another_order_are_refused(tmp_path: Path) -> None:
    journal = MemoryJournal((await lived()).log)
    archive = archive_of(journal, tmp_path, records_max=4)
    for partition in (0, 1):
        await archive.continue_from(journal, partition)
    paths = files(tmp_path, 0)
    assert len(paths) > 2
    middle = paths[1].read_bytes()
    paths[1].unlink()
    with pytest.raises(SegmentRefused, match="does not follow"):
        archive.end(0)
    paths[1].write_bytes(middle)
    archive.end(0)
    first = paths[0].read_bytes()
    paths[0].write_bytes(middle)
    paths[1].write_bytes(first)
    with pytest.raises(SegmentRefused, match="does not follow"):
        archive.end(0)
    paths[1].write_bytes(middle)
    paths[0].write_bytes(files(tmp_path, 1)[0].read_bytes())
    with pytest.raises(SegmentRefused, match="is of Place"):
        archive.end(0)


async def test_a_segment_that_lies_about_its_fold_is_refused_though_its_sum_is_right(tmp_path: Path) -> None:
    journal = MemoryJournal((await lived(lives=1)).log)
    archive = archive_of(journal, tmp_path)
    await archive.continue_from(journal, 0)
    [path] = files(tmp_path, 0)
    whole, place = path.read_bytes()[:-32], len(MAGIC)
    while length := int.from_bytes(whole[place : place + 4], "big"):
        place += 4 + length
    trailer = pb.SegmentTrailer(fold_after=pb.SegmentFold(epoch=99)).SerializeToString()
    lying = whole[: place + 4] + len(trailer).to_bytes(4, "big") + trailer
    path.write_bytes(lying + hashlib.sha256(lying).digest())
    with pytest.raises(SegmentRefused, match="another fold at its end"):
        archive.end(0)


async def test_the_journal_of_a_running_service_is_archived_beside_it(tmp_path: Path) -> None:
    world = await lived(lives=1)
    source = MemoryJournal(world.log)
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path, partitions=PARTITIONS, journal_id=source.journal_id)
    for record in await source.read(0, 0):
        await journal.append(0, record.data)
    reader = await SqliteJournalReader.open(path)
    archive = archive_of(reader, tmp_path / "archive", records_max=3)
    written, end = await archive.continue_from(reader, 0)
    assert written == await journal.end_offset(0)
    assert end.fold == (await refold(journal, 0, Notebook())).state
    await reader.close()
    await journal.close()


async def test_what_is_no_journal_is_not_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        await SqliteJournalReader.open(tmp_path / "nothing.db")
    (tmp_path / "text.db").write_text("no database")
    with pytest.raises(FileRefused):
        await SqliteJournalReader.open(tmp_path / "text.db")


def test_names_sort_in_the_order_of_records() -> None:
    names = [segment_name(3, first, first + 9) for first in (0, 10, 99_990, 10**12)]
    assert sorted(names) == names


async def test_segments_are_for_their_user_alone_as_journals_are(tmp_path: Path) -> None:
    journal, folder = MemoryJournal((await lived(lives=1)).log), tmp_path / "archive"
    await archive_of(journal, folder).continue_from(journal, 0)
    [segment] = folder.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, segment)] == [0o700, 0o600]
