"""Who waits for what an owner will say: futures by ticket."""

from __future__ import annotations

import asyncio
import itertools
from typing import Generic, TypeVar

T = TypeVar("T")


class Tickets(Generic[T]):
    """Waiting rooms of one kind of answer. A ticket is never given twice."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[T]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def all_told(self) -> bool:
        """Whether nobody waits for an answer that is still to come."""
        return all(future.done() for future in self._waiting.values())

    def take(self) -> int:
        """A new ticket; `wait` for it once."""
        ticket = next(self._numbers)
        self._waiting[ticket] = asyncio.get_running_loop().create_future()
        return ticket

    async def wait(self, ticket: int) -> T:
        """The answer; cancelling gives the ticket back."""
        try:
            return await self._waiting[ticket]
        finally:
            del self._waiting[ticket]

    def tell(self, ticket: int, answer: T) -> None:
        """Answers whoever still waits."""
        future = self._waiting.get(ticket)
        if future is not None and not future.done():
            future.set_result(answer)

    def tell_all(self, answer: T) -> None:
        """Answers everybody, at the end."""
        for ticket in list(self._waiting):
            self.tell(ticket, answer)
