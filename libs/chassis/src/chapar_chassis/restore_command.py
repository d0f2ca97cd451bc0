"""`restore FOLDER`: a service's part of a backup into this empty installation, while nothing runs.

Secrets are there already: they were never in the backup, and which ones they are is compared first. Keys come before
the logs that name them. Stores and streams stay empty: the service makes them anew from its log. Whoever asks has made
the folder `restoring` in the data folder, without which nothing is written and with which no service starts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TextIO

from chapar_chassis.backup_command import secret_prints
from chapar_chassis.holdings import everything_of
from chapar_chassis.ports import RESTORING, PublishedTopic, open_journal, open_keys
from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.archive import Archive
from chapar_sourcing.durable import durable_file
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.key_copy import NAME, read_key_copy
from chapar_sourcing.keyring import check_master
from chapar_sourcing.ports import Journal, KeyRow, KeyStore
from chapar_sourcing.restoring import TargetNotEmpty, restore_partition

MANIFEST = "backup.json"
KEYS_AT_ONCE = 200
PARTITIONS_AT_ONCE = 16
"""Each of them appends one record after the other."""


class BackupRefused(RuntimeError):
    """There is no backup, or it is not one that can be restored here. The text is for the operator."""


async def restore_backup(
    service: str, settings: CommonSettings, published: Sequence[PublishedTopic], folder: Path, output: TextIO
) -> int:
    """Writes keys and journal and reads the journal back; prints a JSON object a partition. 0 once all is durable.

    Raises `BackupRefused`, `TargetNotEmpty`, `KeyCopyRefused`, `SegmentRefused`, `LogDamaged`, `Unavailable`.
    """
    told = part_of(folder, service)
    secrets = Secrets(settings.secrets_dir)
    _check_secrets(service, told, secrets)
    count = _check_keys(folder, service, secrets)
    if sorted(row["partition"] for row in told["partitions"]) != [*range(settings.partitions)]:
        raise BackupRefused(f"the backup is not one of {settings.partitions} partitions, each of them once")
    await _begin(service, settings, published, folder)
    async with AsyncExitStack() as closing:
        journal = await open_journal(settings, service)
        closing.push_async_callback(journal.close)
        keys = await open_keys(settings, service)
        closing.push_async_callback(keys.close)
        await _restore_keys(keys, read_key_copy(folder / service / NAME, service))
        archive = Archive(
            folder / service,
            journal_id=told["journal_id"],
            generation=told["generation"],
            partitions=journal.partitions,
        )
        turns = asyncio.Semaphore(PARTITIONS_AT_ONCE)

        async def restore(row: Mapping[str, Any]) -> None:
            async with turns:
                print(json.dumps(await _restore(archive, journal, row)), file=output, flush=True)

        async with asyncio.TaskGroup() as tasks:
            for row in told["partitions"]:
                tasks.create_task(restore(row), name=f"restore partition {row['partition']}")
    print(json.dumps({"keys": count}), file=output, flush=True)
    return 0


def part_of(folder: Path, service: str) -> Mapping[str, Any]:
    """What the backup says of a service. Raises `BackupRefused`."""
    try:
        told: Mapping[str, Any] = json.loads((folder / MANIFEST).read_bytes())["services"][service]
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupRefused(f"{folder} holds no whole backup of {service}") from None
    return told


def _check_secrets(service: str, told: Mapping[str, Any], secrets: Secrets) -> None:
    there = secret_prints(secrets)
    for name, digest in told["prints"].items():
        if there.get(name) != digest:
            what = "is another one than" if name in there else "is missing, and is not"
            raise BackupRefused(
                f"the secret {name} of {service} {what} in the backup: put the secrets of the installation that was"
                " backed up into the secrets folder first"
            )


def _check_keys(folder: Path, service: str, secrets: Secrets) -> int:
    """How many there are: all whole, and opened by the master key that is here."""
    master_key, count = secrets.key("master.key"), 0
    for row in read_key_copy(folder / service / NAME, service):
        try:
            check_master(master_key, row)
        except ValueError as error:
            raise BackupRefused(f"{folder / service / NAME}: {error}") from None
        count += 1
    return count


async def _begin(
    service: str, settings: CommonSettings, published: Sequence[PublishedTopic], folder: Path
) -> None:  # fmt: skip
    """Notes that this backup, known by its manifest, is being restored here, unless that is noted. Raises
    `TargetNotEmpty`, `BackupRefused`."""
    note = settings.data_dir / RESTORING / service
    print_of_manifest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    if not note.parent.is_dir():
        raise BackupRefused("only `chapar restore` restores")
    if note.exists():
        if note.read_text("ascii") != print_of_manifest:
            raise TargetNotEmpty(f"another backup of {service}, or an older one, is being restored here")
        return
    if there := await everything_of(service, settings, published):
        raise TargetNotEmpty(f"{service} has {', '.join(there)} already: restore into an empty installation")
    with durable_file(note) as file:
        file.write(print_of_manifest.encode("ascii"))


async def _restore_keys(keys: KeyStore, rows: Iterable[KeyRow]) -> None:
    """A subject's keys one after the other, older first; those of several subjects at once."""
    for batch in _batches(rows):
        await asyncio.gather(*(_restore_key(keys, row) for row in batch))


def _batches(rows: Iterable[KeyRow]) -> Iterator[list[KeyRow]]:
    batch: list[KeyRow] = []
    for row in rows:
        if batch and (len(batch) == KEYS_AT_ONCE or row.subject == batch[-1].subject):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


async def _restore_key(keys: KeyStore, row: KeyRow) -> None:
    if await keys.insert(row) != row and await keys.get(row.key_id) != row:
        raise TargetNotEmpty(f"the subject of key {row.key_id} has other keys already")


async def _restore(archive: Archive, journal: Journal, told: Mapping[str, Any]) -> Mapping[str, Any]:
    partition, offset = told["partition"], told["offset"]
    end = archive.end(partition, up_to=offset).fold
    if (end.offset, end.hash.hex()) != (offset, told["hash"]):
        raise LogDamaged(
            f"the segments of partition {partition} end at {end.offset} with {end.hash.hex()[:16]}, the backup at"
            f" {offset} with {told['hash'][:16]}"
        )
    count = total = 0

    def each(size: int) -> None:
        nonlocal count, total
        count, total = count + 1, total + size

    records = archive.records(partition, up_to=offset)
    state = await restore_partition(records, journal, partition, end, os.urandom(16), each=each)
    return {
        "partition": partition,
        "offset": offset,
        "hash": end.hash.hex(),
        "end_offset": state.offset,
        "records": count,
        "bytes": total,
    }
