"""News of a stream file that another process writes: looks into it every few milliseconds while anybody waits.

Time stamps of files do not help: a record is written first and comes to be visible after the fsync, at any later time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.ports import Unavailable

POLL_S = 0.03
IDLE_ROUNDS_MAX = 100
"""Looks without anybody waiting before it ends."""


class Tail:
    """Calls `look` and rings the bell, as long as anybody waits."""

    def __init__(self, name: str, bell: Bell, look: Callable[[], Awaitable[bool]]) -> None:
        self._name = name
        self._bell = bell
        self._look = look
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Starts looking; it ends by itself when nobody waits."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"tail {self._name}")

    async def close(self) -> None:
        """Ends looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        idle_rounds = 0
        while idle_rounds < IDLE_ROUNDS_MAX:
            if await self._grown():
                self._bell.ring()
            await asyncio.sleep(POLL_S)
            idle_rounds = 0 if self._bell.waited_for else idle_rounds + 1

    async def _grown(self) -> bool:
        try:
            return await self._look()
        except Unavailable:
            return False
