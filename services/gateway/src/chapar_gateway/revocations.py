"""Which sessions were ended before their tokens do, and how fresh that knowledge is.

Identity publishes revocations to `revocations.v1` and a beat per partition every 300 ms. A gateway reads the topic
whole before it is ready and then follows its end. How old the tail of a user's partition is decides what that user
may still do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from chapar.identity.events.v1 import events_pb2 as identity
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_gateway.durations import milliseconds
from chapar_sourcing.clock import Clock
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import OffsetOutOfRange, Stream, Unavailable

TOPIC = "revocations.v1"
STRICT_STALE_MS = 1_000
"""Beyond this age money and identity changes are refused."""
STALE_MS_MAX = 60_000
"""Beyond this age all calls of sessions are refused."""
KEPT_MS = 3_600_000
"""As long as the topic keeps a revocation; access tokens live a quarter of it."""
WAIT_MS = 200
RETRY_S = 0.2


@dataclass(slots=True)
class _Tail:
    """How far one partition was read."""

    next_offset: int
    source_time_ms: int = 0
    """Identity's clock at the newest record."""
    arrived_ms: int = 0
    """Our monotonic clock when it was read."""
    heard: bool = False


class Revocations:
    """The revoked sessions of the last hour."""

    def __init__(
        self, stream: Stream, partitions: int, clock: Clock, on_revoked: Callable[[str], None] = lambda session_id: None
    ) -> None:
        """`on_revoked` is told the id of each session whose revocation is read, also those read at the start."""
        self._stream = stream
        self._partitions = partitions
        self._clock = clock
        self._on_revoked = on_revoked
        self._tails: dict[int, _Tail] = {}
        self._revoked: dict[str, int] = {}
        """Session id to when it may be forgotten by our monotonic clock, oldest first: a clock that is set right must
        not let a token in that was revoked."""
        self._ready = asyncio.Event()

    @property
    def loaded(self) -> bool:
        """Whether the topic was read whole, and identity was heard on each partition."""
        return self._ready.is_set()

    async def wait_loaded(self) -> None:
        """Waits until `loaded`."""
        await self._ready.wait()

    def is_revoked(self, session_id: str) -> bool:
        """Whether the session was ended, as far as is known."""
        return session_id in self._revoked

    def age_ms(self, user_id: str) -> int:
        """How old the tail of the user's partition is: the greater of what both clocks say."""
        return self._age_ms(self._tails.get(partition_of(user_id, self._partitions)))

    @property
    def age_ms_max(self) -> int:
        """How old the oldest tail is."""
        return max((self._age_ms(self._tails.get(partition)) for partition in range(self._partitions)), default=0)

    @property
    def count(self) -> int:
        """How many sessions are known to have been ended."""
        return len(self._revoked)

    def _age_ms(self, tail: _Tail | None) -> int:
        if tail is None or not tail.heard:
            return STALE_MS_MAX + 1
        return max(0, self._clock.now_ms() - tail.source_time_ms, milliseconds(self._clock) - tail.arrived_ms)

    async def run(self) -> None:
        """Reads the topic whole, then follows it; never returns. Waits for a topic or a stream that is away."""
        positioned = False
        while True:
            try:
                if not positioned:
                    await self._load()
                    positioned = True
                await self._follow()
            except Unavailable:
                await asyncio.sleep(RETRY_S)
            except OffsetOutOfRange:
                # The topic was cut or made anew: what was read stays revoked, the rest is read again from its start.
                positioned = False
                await asyncio.sleep(RETRY_S)

    async def _load(self) -> None:
        partitions = await self._stream.partitions(TOPIC)
        if partitions != self._partitions:
            raise RuntimeError(f"{TOPIC} has {partitions} partitions, not {self._partitions}")
        tails = {p: _Tail(await self._stream.start_offset(TOPIC, p)) for p in range(partitions)}
        for partition, tail in tails.items():
            await self._read_on(partition, tail)
        self._tails = tails
        self._see_ready()

    async def _follow(self) -> None:
        while True:
            positions = {partition: tail.next_offset for partition, tail in self._tails.items()}
            if await self._stream.wait(TOPIC, positions, WAIT_MS):
                for partition, tail in self._tails.items():
                    await self._read_on(partition, tail)
                self._see_ready()
            self._forget_old()

    def _see_ready(self) -> None:
        if all(tail.heard for tail in self._tails.values()):
            self._ready.set()

    async def _read_on(self, partition: int, tail: _Tail) -> None:
        """Reads one partition to its end."""
        while entries := await self._stream.read(TOPIC, partition, tail.next_offset):
            for entry in entries:
                record = journal.StreamRecord.FromString(entry.data)
                if record.event:
                    self._note(identity.Event.FromString(record.event))
                tail.source_time_ms = max(tail.source_time_ms, record.time_ms)
                tail.next_offset = entry.offset + 1
            tail.arrived_ms = milliseconds(self._clock)
            tail.heard = True

    def _note(self, event: identity.Event) -> None:
        if event.WhichOneof("kind") != "session_revoked":
            return
        session_id = event.session_revoked.session_id
        self._revoked.pop(session_id, None)
        self._revoked[session_id] = milliseconds(self._clock) + KEPT_MS
        self._on_revoked(session_id)

    def _forget_old(self) -> None:
        now_ms = milliseconds(self._clock)
        while self._revoked:
            session_id, until_ms = next(iter(self._revoked.items()))
            if until_ms > now_ms:
                return
            del self._revoked[session_id]
