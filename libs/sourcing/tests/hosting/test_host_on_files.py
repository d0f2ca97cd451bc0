"""The same host on SQLite files: what was acknowledged is there after an end at any moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from chapar_sourcing.adapters.sqlite import SqliteJournal, SqliteMembers, SqliteStore, SqliteStream
from chapar_sourcing.digest import digest_of, refold, stored_documents
from chapar_sourcing.hosting import HostPorts, HostRules, Topic

from .notebook import Notebook
from .rig import PARTITIONS, World, book_at, eventually, running
from .test_reactor import Forwarding

TOPIC = "notebook.events.v1"


async def files(folder: Path) -> HostPorts:
    return HostPorts(
        await SqliteJournal.open(folder / "journal.db", partitions=PARTITIONS),
        await SqliteStore.open(folder / "store.db"),
        await SqliteMembers.open(folder / "members"),
        await SqliteStream.open(folder / "streams", service="notebook", topics={TOPIC: None}, partitions=PARTITIONS),
    )


async def test_everything_acknowledged_survives_repeated_ends(tmp_path: Path) -> None:
    rules = HostRules(
        Notebook(), reactions=[Forwarding()], topics=[Topic(TOPIC)], public_event=lambda event, when: (TOPIC, event)
    )
    written: list[str] = []
    for life in range(3):
        async with running(World(), ports=await files(tmp_path), rules=rules) as process:

            async def write(text: str, process: Any = process) -> None:
                outcome = await process.write(book_at(0), text, forward=book_at(1))
                assert outcome.reason == ""
                written.append(text)

            await asyncio.gather(*(write(f"{life}/{n}") for n in range(20)))
            await process.crash()
    async with running(World(), ports=await files(tmp_path), rules=rules) as process:
        assert sorted(await process.texts(book_at(0))) == sorted(written)

        async def all_forwarded() -> bool:
            return sorted(await process.texts(book_at(1))) == sorted(written)

        await eventually(all_forwarded)
        live = [await process.host.digest(partition) for partition in range(PARTITIONS)]
        await process.end()
    ports = await files(tmp_path)
    for partition in range(PARTITIONS):
        refolded = digest_of((await refold(ports.journal, partition, Notebook())).documents, answers_since_ms=None)
        assert digest_of(await stored_documents(ports.store, partition), answers_since_ms=None) == refolded
        assert live[partition].digest == refolded.sha256
    for port in (ports.journal, ports.store, ports.stream):
        await port.close()
