"""HTTP/2 used against the servers: resets, pings, settings, endless headers, bodies that never come, answers that
nobody reads. Neighbours, who send messages and look at their money meanwhile, have no call that fails, and the process
that is attacked does not grow by more than 64 MiB.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from chapar_client.demo import Person, Stage
from tests.e2e.hostile import PREFACE, Hostile, TurnedAway, framed, hostile
from tests.e2e.kit import E2E, raw_call

pytestmark = E2E

CONFIG = "/chapar.gateway.v1.GatewayService/GetConfig"
MEBIBYTE = 1024 * 1024
GROWTH_BYTES_MAX = 64 * MEBIBYTE
ROUNDS_MIN = 5
"""Rounds that neighbours must have made while an attack goes on."""
PATIENCE_S = 60.0
CANCEL = 8
TARGETS = pytest.mark.parametrize("target", ["gateway", "messaging"])
LITERAL = b"\x00\x04junk\x7f\x81\x01" + b"x" * 256
"""A header that no table keeps: its name, then a value of 256 bytes."""

Act = Callable[[Hostile], Awaitable[None]]


class Neighbours:
    """Two people who go on: one looks at the balance and writes to the other, again and again."""

    def __init__(self, one: Person, two: Person) -> None:
        self.rounds = 0
        self._ended = asyncio.Event()
        self._one, self._two = one, two

    async def live_on(self, lived: int) -> None:
        """Waits until a round has begun and ended since there were so many."""
        async with asyncio.timeout(PATIENCE_S):
            while self.rounds < lived + 2:
                self._ended.clear()
                await self._ended.wait()

    async def live(self) -> None:
        """Goes on until it is cancelled; whatever fails ends it."""
        while True:
            await self._one.client.payments.get_wallet()
            await self._one.say(self._one.with_(self._two), f"round {self.rounds}")
            self.rounds += 1
            self._ended.set()


@asynccontextmanager
async def neighbours(stage: Stage) -> AsyncIterator[Neighbours]:
    """They live while the block runs, and fail it when one of their calls fails."""
    one, two = await stage.person("همسایه"), await stage.person("دوست")
    they = Neighbours(one, two)
    async with asyncio.TaskGroup() as group:
        living = group.create_task(they.live(), name="neighbours")
        yield they
        living.cancel()


class Attack:
    """What was done, and what was heard of it."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.heard: Counter[str] = Counter()
        self.reasons: set[bytes] = set()
        self.connections = 0
        self.turned_away = 0

    def add(self, one: Hostile) -> None:
        """Counts what a connection did."""
        self.connections += 1
        self.sent += one.sent
        self.heard += one.heard
        self.reasons.update(one.reasons)
        self.turned_away += one.ended.is_set()


class Weighed:
    """The most memory that a process had since it was put on the scales."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        self._before = self._bytes("VmRSS")

    def growth(self) -> int:
        """How far it was above what it had, in bytes, at its worst."""
        return self._bytes("VmHWM") - self._before

    def _bytes(self, name: str) -> int:
        lines = self._status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


async def flood(stage: Stage, target: str, act: Act, *, kind: str, wanted: int) -> Attack:
    """Repeats an act on a connection, and on the next when one is closed, until so many frames of a kind were sent;
    a part of them in each round of the neighbours."""
    attack, weighed = Attack(), Weighed(stage.up.pid(target))
    async with neighbours(stage) as they:
        for part in range(1, ROUNDS_MIN + 1):
            lived = they.rounds
            while attack.sent[kind] * ROUNDS_MIN < wanted * part:
                async with hostile(stage.up.addresses[target].address) as one:
                    with suppress(TurnedAway):
                        while (attack.sent[kind] + one.sent[kind]) * ROUNDS_MIN < wanted * part:
                            await act(one)
                    await one.digested()
                    attack.add(one)
            await they.live_on(lived)
    await assert_as_before(stage, weighed, attack)
    return attack


async def assert_as_before(stage: Stage, weighed: Weighed, attack: Attack) -> None:
    assert (await raw_call(stage.up.gateway_address, CONFIG, b"")).status is grpc.StatusCode.OK
    assert weighed.growth() < GROWTH_BYTES_MAX, (weighed.growth(), vars(attack))
    print(f"{vars(attack)}, {weighed.growth() // 1024} KiB more")


# ---- floods of frames


async def resets(one: Hostile) -> None:
    for _ in range(20):
        stream = one.stream()
        await one.send(*one.call(stream, CONFIG, b""), RstStreamFrame(stream, error_code=CANCEL))


async def pings(one: Hostile) -> None:
    await one.send(*(PingFrame(0, opaque_data=number.to_bytes(8, "big")) for number in range(100)))


async def settings(one: Hostile) -> None:
    await one.send(
        *(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: number}) for number in range(100))
    )


async def empty_data(one: Hostile) -> None:
    stream = one.stream()
    begin = HeadersFrame(stream, one.headers(CONFIG), flags=["END_HEADERS"])
    await one.send(begin, *(DataFrame(stream, b"") for _ in range(100)))


async def endless_headers(one: Hostile) -> None:
    """Never says that they end: one stream a connection."""
    stream = one.stream()
    await one.send(HeadersFrame(stream, one.headers(CONFIG)))
    await one.send(*(ContinuationFrame(stream, LITERAL * 60) for _ in range(100)))


async def huge_metadata(one: Hostile) -> None:
    """Does say it, after 300 KiB."""
    stream = one.stream()
    first = HeadersFrame(stream, one.headers(CONFIG))
    rest = [ContinuationFrame(stream, LITERAL * 60) for _ in range(20)]
    last = ContinuationFrame(stream, b"", flags=["END_HEADERS"])
    await one.send(first, *rest, last, DataFrame(stream, framed(b""), flags=["END_STREAM"]))


async def oversized(one: Hostile) -> None:
    stream = one.stream()
    begin = HeadersFrame(stream, one.headers(CONFIG), flags=["END_HEADERS"])
    await one.send(begin, DataFrame(stream, framed(b"z" * 8_192, 2**31 - 1)))
    await one.send(RstStreamFrame(stream, error_code=CANCEL))


@TARGETS
@pytest.mark.parametrize(
    ("act", "kind", "wanted", "closed"),
    [
        (resets, "RstStreamFrame", 5_000, False),
        (pings, "PingFrame", 5_000, True),
        (settings, "SettingsFrame", 10_000, False),
        (empty_data, "DataFrame", 10_000, False),
        (endless_headers, "ContinuationFrame", 1_000, True),
        (huge_metadata, "HeadersFrame", 200, False),
        (oversized, "HeadersFrame", 1_000, False),
    ],
)
async def test_neighbours_of_a_flood_notice_nothing(
    stage: Stage, target: str, act: Act, kind: str, wanted: int, closed: bool
) -> None:
    attack = await flood(stage, target, act, kind=kind, wanted=wanted)
    assert attack.sent[kind] >= wanted
    assert not closed or attack.turned_away > 0


# ---- what is held


async def connect(stage: Stage, target: str, stack: AsyncExitStack, count: int, *, greeting: bool) -> list[Hostile]:
    address = stage.up.addresses[target].address
    return [await stack.enter_async_context(hostile(address, greeting=greeting)) for _ in range(count)]


async def test_connections_that_do_not_finish_their_greeting_are_closed_and_keep_nobody_out(stage: Stage) -> None:
    """Both targets at once: it takes as long as a handshake may."""
    attack, weighed = Attack(), [Weighed(stage.up.pid(target)) for target in ("gateway", "messaging")]
    async with AsyncExitStack() as stack, neighbours(stage) as they:
        waiting = []
        for target in ("gateway", "messaging"):
            silent = await connect(stage, target, stack, 100, greeting=False)
            halfway = await connect(stage, target, stack, 100, greeting=False)
            for one in halfway:
                await one.raw(PREFACE[:12])
            waiting += [*silent, *halfway]
        await they.live_on(they.rounds)
        for one in waiting:
            await one.closed()
            attack.add(one)
    assert attack.turned_away == 400
    for scales in weighed:
        await assert_as_before(stage, scales, attack)


@TARGETS
async def test_requests_that_never_come_whole_keep_nobody_out(stage: Stage, target: str) -> None:
    attack, weighed = Attack(), Weighed(stage.up.pid(target))
    async with AsyncExitStack() as stack, neighbours(stage) as they:
        for number, one in enumerate(await connect(stage, target, stack, 12, greeting=True)):
            for _ in range(99):
                stream = one.stream()
                await one.send(*one.call(stream, CONFIG, None))
                await one.send(DataFrame(stream, framed(b"only a part of it", announced=200_000)))
            if number % 4 == 3:
                await they.live_on(they.rounds)
            attack.add(one)
    assert attack.sent["HeadersFrame"] == 12 * 99, "more than a gateway waits for at once"
    await assert_as_before(stage, weighed, attack)


async def test_headers_that_never_end_are_held_by_nobodys_call(stage: Stage) -> None:
    attack, weighed = Attack(), Weighed(stage.up.pid("gateway"))
    async with AsyncExitStack() as stack, neighbours(stage) as they:
        for one in await connect(stage, "gateway", stack, 100, greeting=True):
            stream = one.stream()
            await one.send(HeadersFrame(stream, one.headers(CONFIG)), ContinuationFrame(stream, LITERAL * 30))
            attack.add(one)
        await they.live_on(they.rounds)
    assert attack.sent["ContinuationFrame"] == 100
    await assert_as_before(stage, weighed, attack)


async def test_answers_that_nobody_reads_keep_nobody_out(stage: Stage) -> None:
    """More calls than a gateway has in flight at once, each with a window of nothing for its answer."""
    attack, weighed = Attack(), Weighed(stage.up.pid("gateway"))
    async with AsyncExitStack() as stack, neighbours(stage) as they:
        silent = await connect(stage, "gateway", stack, 15, greeting=False)
        for one in silent:
            await one.greet({SettingsFrame.INITIAL_WINDOW_SIZE: 0})
            for _ in range(99):
                await one.send(*one.call(one.stream(), CONFIG, b""))
        await they.live_on(they.rounds)
        for one in silent:
            attack.add(one)
    assert attack.heard["HeadersFrame"] > 1_000, "the answers have begun"
    await assert_as_before(stage, weighed, attack)
