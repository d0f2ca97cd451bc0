"""The process of cheap clients (`bench.loader`), as who starts it sees it; and the people it speaks for."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bench.progress import Advance
from chapar_client.demo import Person, Stage

ANSWER_S_MAX = 600.0
LINE_BYTES_MAX = 1024 * 1024
SIGN_IN_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a load."""

    seconds: float
    acknowledged: int
    failed: int
    """Given up after 30 s."""
    again: int
    """Tries beyond the first."""
    heard: int
    """Messages that arrived at open sessions."""
    acks: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Acknowledged a second."""
        return self.acknowledged / self.seconds


class Open(Protocol):
    """An installation that people can come to."""

    @property
    def stage(self) -> Stage:
        """Its processes."""

    @property
    def gateways(self) -> Sequence[str]:
        """Where clients may call."""


class Loader:
    """Tells the process what to do, one thing after the other."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process of the clients."""
        return self._process.pid

    async def connect(self, site: Open, people: Sequence[Person], *, looking: bool) -> None:
        """Everybody comes to one of the gateways in turn; each one writes to the next."""
        told = []
        for number, (person, other) in enumerate(zip(people, [*people[1:], people[0]], strict=True)):
            session = await person.client.session()
            at = site.gateways[number % len(site.gateways)]
            told.append({"gateway": at, "token": session.access_token, "conversation_id": person.with_(other)})
        await self._ask({"connect": {"people": told, "looking": looking}})

    async def load(self, *, rate: float | None = None, at_once: int = 0, seconds: float) -> Loaded:
        """Sends at a rate, or as fast as answers come with so many at once."""
        return Loaded(**await self._ask({"load": {"rate": rate, "at_once": at_once, "seconds": seconds}}))

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("started with pipes")
        stdin.write(json.dumps(question).encode() + b"\n")
        async with asyncio.timeout(ANSWER_S_MAX):
            await stdin.drain()
            line = await stdout.readline()
        if not line:
            raise RuntimeError("the process of clients has ended; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def loader() -> AsyncIterator[Loader]:
    """Starts the process, and ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.loader", stdin=PIPE, stdout=PIPE, limit=LINE_BYTES_MAX
    )
    try:
        yield Loader(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def signed_in(site: Open, count: int, advance: Advance) -> Sequence[Person]:
    """So many people who have signed in, by now with nobody at their inboxes."""
    free = asyncio.Semaphore(SIGN_IN_AT_ONCE)

    async def one(number: int) -> Person:
        async with free:
            person = await site.stage.person(f"p{number}", set_name=False)
            advance()
            return person

    return await asyncio.gather(*map(one, range(count)))
