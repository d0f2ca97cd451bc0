"""The comparison that ends each installation's life can fail: what is planted is found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.demo import Stage
from chapar_client.up import OWNERS
from chapar_client.verifier import verify_folder
from chapar_messaging.inbox import fields_of_message
from chapar_sourcing.adapters.sqlite import SqliteJournal, SqliteStore
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import DocumentWrite, Row
from chapar_sourcing.positions import Position
from tests.e2e.law import Held, Law

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("e2e"), pytest.mark.timeout(180)]


async def lived(folder: Path) -> Law:
    """An installation that was used, asked and ended."""
    async with Stage(folder) as stage:
        law = Law(stage)
        one, other = await stage.person("الف"), await stage.person("ب")
        room = one.with_(other)
        await one.say(room, "سلام")
        await law.ask("the first text")
        await one.client.messaging.delete_message(room, 1)
        await stage.cash_in(one, 5_000)
        await law.ask("the last text")
    return law


def planted(held: list[Held], **otherwise: object) -> list[Held]:
    """The same answers, but the last of messaging that is about any document says something else."""
    place = max(n for n, one in enumerate(held) if one.service == "messaging" and one.said.documents)
    said = peer.DigestResponse.FromString(held[place].said.SerializeToString())
    for name, value in otherwise.items():
        setattr(said, name, value)
    return [*held[:place], replace(held[place], said=said), *held[place + 1 :]]


async def test_what_an_installation_holds_wrongly_is_found(tmp_path: Path) -> None:
    law = await lived(tmp_path)
    assert len(law.held) == 2 * len(OWNERS) * 16
    assert {one.service for one in law.held if one.said.documents} == set(OWNERS)
    assert await law.problems() == []
    true = law.held
    for wrong in ({"digest": bytes(32)}, {"hash": bytes(32)}, {"documents": 1_000}, {"alarms": 1}):
        law.held = planted(true, **wrong)
        [problem] = await law.held_wrongly()
        assert problem.startswith("messaging partition ")
        assert "after the last text: the owner held" in problem
    law.held = true
    await plant(law)
    [stored, shown] = await law.problems()
    assert stored.startswith("messaging: log and store differ")
    assert stored.count("'equal': False") == 1
    assert "head=9" in shown


async def test_books_are_recomputed_through_the_journals_port_as_they_are_from_files(tmp_path: Path) -> None:
    law = await lived(tmp_path)
    from_files = {report.service: report for report in verify_folder(law.stage.data_dir)}
    for service in OWNERS:
        assert await law.recomputed(service) == from_files[service]
    assert from_files["payments"].totals == {"cash_in_rials": 5_000, "wallets_rials": 5_000, "in_transit_rials": 0}
    journal = await SqliteJournal.open(law.stage.data_dir / "payments" / "journal.db", partitions=16)
    try:
        await journal.append(3, b"")
    finally:
        await journal.close()
    [finding] = (await law.recomputed("payments")).findings
    assert (finding.partition, finding.problem[-26:]) == (3, "is neither claim nor block")


async def plant(law: Law) -> None:
    """A message at a place where none was written, and an inbox that has heard of messages that nobody sent."""
    store = await SqliteStore.open(law.stage.data_dir / "messaging" / "store.db")
    try:
        for partition in range(16):
            for key, stored in await store.documents(partition, at_least=-1, after=None):
                if key.kind == "message":
                    beyond = Position(stored.position.offset, stored.position.event_index + 1)
                    await store.write_documents(partition, [DocumentWrite(key, beyond, stored.data, 0)])
                if key.kind == "member" and key.id < key.parent.split(".")[2]:
                    place = partition_of(key.id, 16)
                    await store.merge_rows(place, [Row(key.id, key.parent, fields_of_message(9, 0, own=False))])
    finally:
        await store.close()
