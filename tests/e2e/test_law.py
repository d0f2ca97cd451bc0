"""The comparison that ends each installation's life can fail: what is planted is found, and nothing else is."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_client.demo import Stage
from chapar_client.up import OWNERS
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
    plant_in_store(law.stage.data_dir / "messaging" / "store.db")
    [problem] = await law.stored_wrongly()
    assert problem.startswith("messaging: log and store differ")


def plant_in_store(path: Path) -> None:
    """A deleted message comes back as one that never was, in the store alone."""
    store = sqlite3.connect(path)
    with store:
        changed = store.execute("UPDATE documents SET data = ? WHERE kind = 'message'", (b"\x92\xa1x\x01",))
        assert changed.rowcount == 1
    store.close()
