"""Presence: who is online, seen by those who share a conversation."""

from __future__ import annotations

import asyncio
import time

from chapar_client.demo import Stage
from chapar_client.sdk import PresenceEnded
from tests.e2e.kit import E2E

pytestmark = E2E


async def test_one_comes_within_a_second_and_goes_after_the_grace(stage: Stage) -> None:
    watcher, other = await asyncio.gather(stage.person("بیننده"), stage.person("دیگری"))
    await watcher.say(watcher.with_(other), "سلام")
    watcher.read([watcher.interest_in(other)])
    unseen = await watcher.presence_of(other, online=False)
    assert unseen.last_seen_time_ms == 0, "never seen"
    other.read()
    await other.until(lambda: other.updates, "a connection")
    connected = time.monotonic()
    await watcher.presence_of(other, online=True)
    assert time.monotonic() - connected < 1.0
    left, left_ms = time.monotonic(), time.time() * 1000
    await other.stop_reading()
    gone = await watcher.presence_of(other, online=False)
    assert 9.0 < time.monotonic() - left < 20.0, "offline after ten seconds of grace"
    assert abs(gone.last_seen_time_ms - left_ms) < 5_000


async def test_a_short_absence_is_no_absence(stage: Stage) -> None:
    watcher, other = await asyncio.gather(stage.person("بیننده"), stage.person("دیگری"))
    await watcher.say(watcher.with_(other), "سلام")
    other.read()
    watcher.read([watcher.interest_in(other)])
    await watcher.presence_of(other, online=True)
    shown = len(watcher.updates)
    await other.stop_reading()
    other.read()
    await other.until(lambda: len(other.updates) > 1, "a second connection")
    await other.say(other.with_(watcher), "برگشتم")
    await watcher.message(watcher.with_(other), 2)
    assert [update for update in watcher.updates[shown:] if getattr(update, "online", None) is False] == []


async def test_a_stranger_is_not_shown(stage: Stage) -> None:
    watcher, stranger = await asyncio.gather(stage.person("بیننده"), stage.person("غریبه"))
    stranger.read()
    watcher.read([watcher.interest_in(stranger)])
    await watcher.until(lambda: PresenceEnded(stranger.user_id) in watcher.updates, "the end of the presence")
    assert [update for update in watcher.updates if getattr(update, "online", None) is not None] == []
