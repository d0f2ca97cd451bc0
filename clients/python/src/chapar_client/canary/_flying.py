"""From two signed-in profiles to an orderly end: inboxes are read, and rounds begin at even distances."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from chapar_client.canary._account import Account
from chapar_client.canary._rounds import Rounds
from chapar_client.sdk import ChaparError

END_S_MAX = 10.0
"""How long a round may still take when the canary is asked to end; what it leaves is settled by the next process."""


async def keep_flying(
    accounts: Sequence[Account], rounds: Rounds, stopping: asyncio.Event, *, every_s: float, count: int = 0
) -> None:
    """Plays rounds until `stopping` is set, or so many; 0 is without end. A round that takes longer than `every_s`
    seconds is followed by the next at once. Raises the first `ChaparError` that ends it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(account.read(), name=f"inbox {account.user_id}") for account in accounts]
            asked = tasks.create_task(stopping.wait(), name="asked to end")
            try:
                await _play(rounds, stopping, asked, tasks, every_s, count)
            finally:
                for task in (*readers, asked):
                    task.cancel()
    except BaseExceptionGroup as group:
        ours = group.subgroup(ChaparError)
        if ours is None:
            raise
        raise _first(ours) from None


async def _play(
    rounds: Rounds,
    stopping: asyncio.Event,
    asked: asyncio.Task[bool],
    tasks: asyncio.TaskGroup,
    every_s: float,
    count: int,
) -> None:
    played = 0
    while not stopping.is_set():
        began = time.monotonic()
        playing = tasks.create_task(rounds.play(), name="round")
        await asyncio.wait((playing, asked), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            await asyncio.wait((playing,), timeout=END_S_MAX)
            playing.cancel()
            return
        played += 1
        if played == count:
            return
        await asyncio.wait((asked,), timeout=max(0.0, every_s - (time.monotonic() - began)))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
