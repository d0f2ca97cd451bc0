"""Waking everybody who waits for something to change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal


class Pulse:
    """Wakes all waiters at each beat; whoever comes later waits for the next one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Wakes everybody who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    def wait(self) -> Coroutine[Any, Any, Literal[True]]:
        """Returns at the next beat after this call, even where it is awaited only later: what is made a task of starts
        a turn of the loop after it was made, and a beat in between must not be missed."""
        return self._event.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns as soon as `holds` is true; asked now and at each beat."""
        while not holds():
            await self._event.wait()
