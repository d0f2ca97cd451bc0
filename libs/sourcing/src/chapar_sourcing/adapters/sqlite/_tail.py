"""News of a stream file that another process writes: looks at the file every few milliseconds while anybody waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.ports import Unavailable

POLL_S = 0.03
SETTLED_NS = 100_000_000
"""A file that changed within this time may have changed again without a new time stamp."""


class Tail:
    """Calls `look` and rings the bell when the file may have grown, as long as anybody waits."""

    def __init__(self, path: Path, bell: Bell, look: Callable[[], Awaitable[None]]) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        self._bell = bell
        self._look = look
        self._seen: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Starts looking; it ends by itself when nobody waits."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"tail {self._log.name}")

    async def close(self) -> None:
        """Ends looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        idle_rounds = 0
        while idle_rounds < 100:
            if self._changed():
                try:
                    await self._look()
                except Unavailable:
                    self._seen = None
                self._bell.ring()
            await asyncio.sleep(POLL_S)
            idle_rounds = 0 if self._bell.waited_for else idle_rounds + 1

    def _changed(self) -> bool:
        """Whether the file's log changed since the last look, as far as time stamps tell; True when in doubt."""
        try:
            status = self._log.stat()
        except FileNotFoundError:
            self._seen = None
            return True
        seen, self._seen = self._seen, (status.st_mtime_ns, status.st_size)
        return seen != self._seen or time.time_ns() - status.st_mtime_ns < SETTLED_NS
