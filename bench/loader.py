"""A process of cheap clients: people who look at their inboxes and send messages, as many a second as it is told.

It speaks gRPC by bytes, without the SDK, so that little CPU goes into what is not measured. A line of JSON comes in for
each thing to do, a line of JSON goes out when it is done; it ends with its input.

    {"connect": {"people": [{"gateway", "token", "conversation_id"}, ...], "looking": true}}
    {"load": {"rate": 100 or null, "at_once": 64, "seconds": 20}}
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import grpc
import grpc.aio

from bench.figures import percentile
from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.sdk import new_request_id

SEND = "/chapar.messaging.v1.MessagingService/SendMessage"
SUBSCRIBE = "/chapar.gateway.v1.GatewayService/Subscribe"
ACK = "/chapar.gateway.v1.GatewayService/Ack"
TEXT = "سلام، امروز ساعت پنج همان جای همیشگی می‌بینمت"
"""45 characters, 83 bytes."""
CALL_S = 10.0
GIVE_UP_S = 30.0
AGAIN_S = 0.1
ACK_S = 0.1
"""The SDK acknowledges as often."""
UNDER_WAY_MAX = 2_000
HEARD_S_MAX = 20.0
Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.enable_retries", 0))
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}


class Person:
    """One signed-in session with a connection of its own."""

    def __init__(self, gateway_address: str, token: str, conversation_id: str) -> None:
        self.heard = 0
        """Messages that came in by the open session, one's own among them."""
        self.acks = 0
        self._channel = grpc.aio.insecure_channel(gateway_address, options=_OPTIONS)
        self._send: Unary = self._channel.unary_unary(SEND)
        self._ack: Unary = self._channel.unary_unary(ACK)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._conversation_id = conversation_id
        self._subscription, self._frame = "", 0
        self._news = asyncio.Event()

    async def send(self) -> int:
        """Sends one message, again and again with the same id; how many tries it took. 0: it was given up."""
        request_id = new_request_id(time.time_ns() // 1_000_000)
        request = messaging.SendMessageRequest(request_id=request_id, conversation_id=self._conversation_id, text=TEXT)
        content = request.SerializeToString()
        deadline = time.monotonic() + GIVE_UP_S
        for count in itertools.count(1):
            try:
                await self._send(content, timeout=CALL_S, metadata=self._metadata)
                return count
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN or time.monotonic() > deadline:
                    return 0
            await asyncio.sleep(AGAIN_S)
        raise AssertionError("the count has no end")

    async def look(self, shown: asyncio.Event) -> None:
        """Reads the live inbox; `shown` is set once it is there."""
        subscribe: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(SUBSCRIBE)
        async for content in subscribe(gateway.SubscribeRequest().SerializeToString(), metadata=self._metadata):
            frame = gateway.SubscribeResponse.FromString(content)
            if frame.HasField("hello"):
                self._subscription = frame.hello.subscription_id
            if frame.HasField("reset"):
                shown.set()
            if frame.inbox_event.HasField("message"):
                self.heard += 1
            self._frame = frame.frame
            self._news.set()

    async def acknowledge(self) -> None:
        """Says what was taken in, in the background."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._subscription:
                request = gateway.AckRequest(subscription_id=self._subscription, frame=self._frame)
                with suppress(grpc.aio.AioRpcError):  # The next one makes it good.
                    await self._ack(request.SerializeToString(), timeout=CALL_S, metadata=self._metadata)
                    self.acks += 1
            await asyncio.sleep(ACK_S)


class Load:
    """All people of this process."""

    def __init__(self) -> None:
        self._people: list[Person] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._next: Iterator[Person] = iter(())

    async def connect(self, people: list[dict[str, str]], looking: bool) -> dict[str, Any]:
        """Everybody comes, and looks at their inbox if they are to."""
        self._people = [Person(one["gateway"], one["token"], one["conversation_id"]) for one in people]
        self._next = itertools.cycle(self._people)
        shown = [asyncio.Event() for _ in self._people]
        for person, event in zip(self._people, shown, strict=True):
            if looking:
                self._tasks += [asyncio.create_task(person.look(event)), asyncio.create_task(person.acknowledge())]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in shown if looking))
        return {"people": len(people)}

    async def load(self, rate: float | None, at_once: int, seconds: float) -> dict[str, Any]:
        """Sends at a rate, or without one as fast as answers come with so many at once; what became of it."""
        heard, acks = self._counted()
        began = time.monotonic()
        latencies, tries = await (self._at_rate(rate, seconds) if rate else self._as_fast(at_once, seconds))
        took, acknowledged = time.monotonic() - began, len(latencies)
        if self._tasks:
            await self._all_heard(heard + 2 * acknowledged)
        now_heard, now_acks = self._counted()
        return {
            "seconds": took, "acknowledged": acknowledged, "failed": tries.count(0),
            "again": sum(tries) - acknowledged, "heard": now_heard - heard, "acks": now_acks - acks,
            "p50_ms": 1_000 * percentile(latencies, 0.5), "p99_ms": 1_000 * percentile(latencies, 0.99),
        }  # fmt: skip

    def _counted(self) -> tuple[int, int]:
        return sum(person.heard for person in self._people), sum(person.acks for person in self._people)

    async def _all_heard(self, count: int) -> None:
        deadline = time.monotonic() + HEARD_S_MAX
        while self._counted()[0] < count and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def _at_rate(self, rate: float, seconds: float) -> tuple[list[float], list[int]]:
        """Each is sent when it is due, whatever became of those before; its latency counts from then."""
        latencies: list[float] = []
        tries: list[int] = []
        under_way = asyncio.Semaphore(UNDER_WAY_MAX)

        async def one(person: Person, due: float) -> None:
            tries.append(count := await person.send())
            if count:
                latencies.append(time.monotonic() - due)
            under_way.release()

        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await under_way.acquire()
                tasks.create_task(one(next(self._next), due))
        return latencies, tries

    async def _as_fast(self, at_once: int, seconds: float) -> tuple[list[float], list[int]]:
        latencies: list[float] = []
        tries: list[int] = []
        ends = time.monotonic() + seconds

        async def worker() -> None:
            while (began := time.monotonic()) < ends:
                tries.append(count := await next(self._next).send())
                if count:
                    latencies.append(time.monotonic() - began)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(worker())
        return latencies, tries


async def serve() -> None:
    """Does what it is told until its input ends."""
    load = Load()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        answer = await (load.connect(**asked["connect"]) if "connect" in asked else load.load(**asked["load"]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
