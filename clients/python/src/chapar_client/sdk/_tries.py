"""The same bytes again until there is an answer, a refusal, or no time left."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc.aio

from chapar_client.sdk._errors import Unavailable
from chapar_client.sdk._failures import Failure, failure_of
from chapar_client.sdk._methods import Method
from chapar_client.sdk._transport import Metadata, Transport

_TRY_S_MAX = 10.0
_PAUSE_S_FIRST = 0.05
_PAUSE_S_MAX = 2.0


@dataclass(slots=True)
class Attempt:
    """One call through all its tries."""

    deadline: float
    """On the monotonic clock."""
    ambiguous: bool = False
    """Whether a try may have been decided without our hearing of it."""
    failures: int = 0

    @classmethod
    def within(cls, timeout_s: float) -> Attempt:
        """An attempt that ends this many seconds from now."""
        return cls(time.monotonic() + timeout_s)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; may be negative."""
        return self.deadline - time.monotonic()


class Tries:
    """Retries with full jitter; a server's RetryInfo is honoured and spread, never shortened."""

    def __init__(self, transport: Transport, *, chance: Callable[[], float] = random.random) -> None:
        self._transport = transport
        self._chance = chance

    async def run(self, method: Method, content: bytes, metadata: Metadata, attempt: Attempt) -> tuple[bytes, Metadata]:
        """Answers, or raises `Refused`, `Broken` or, at the deadline, `Unavailable`."""
        last: Failure | None = None
        while attempt.left_s > 0:
            if not await self._transport.connected(attempt.left_s):
                break
            try:
                timeout_s = max(min(attempt.left_s, _TRY_S_MAX), 0.001)
                return await self._transport.unary(method, content, metadata, timeout_s)
            except grpc.aio.AioRpcError as error:
                last = failure_of(error)
            attempt.ambiguous |= not last.undecided
            if last.reason == "REASON_LOG_DAMAGED":
                raise Unavailable("the servers' log is damaged; an operator has to look", reason=last.reason)
            if not last.retriable:
                raise last.as_error()
            attempt.failures += 1
            await asyncio.sleep(min(self._pause_s(last, attempt.failures), max(attempt.left_s, 0)))
        raise _no_answer(self._transport.address, last)

    def _pause_s(self, failure: Failure, failures: int) -> float:
        if failure.retry_delay_s is not None:
            return failure.retry_delay_s * (1 + self._chance() / 2)
        return min(_PAUSE_S_FIRST * 2.0 ** min(failures, 10), _PAUSE_S_MAX) * self._chance()


def _no_answer(address: str, last: Failure | None) -> Unavailable:
    if last is None:
        return Unavailable(f"no gateway answers at {address}")
    return Unavailable(f"no answer from {address} in time ({last.reason or last.status.name})", reason=last.reason)
