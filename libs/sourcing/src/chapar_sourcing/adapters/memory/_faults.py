"""How tests make calls of the fakes fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from chapar_sourcing.ports import Unavailable

Fault: TypeAlias = Callable[[str, int], Awaitable[None] | None]
"""Called with the step and the partition (-1 where there is none): "append" before anything is done and "append.done"
once it is, before the answer; the same for every other call. It may raise, or return something to wait for."""


class Faulty:
    """Base of the fakes: steps that may fail, and an end."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault
        self._closed = False

    async def _step(self, name: str, partition: int = -1) -> None:
        self._check_open()
        if self._fault is not None:
            waiting = self._fault(name, partition)
            if waiting is not None:
                await waiting
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("closed")
