"""HTTP/2 by hand: what no client of gRPC's would send, and what is heard in answer.

A `Hostile` is one connection. It counts the frames that it sent, so that an attack can show that it took place, and the
frames that it got.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEARD_S_MAX = 60.0

Header = tuple[bytes, bytes]


class TurnedAway(Exception):
    """The other side has closed the connection."""


class Hostile:
    """One connection, with or without the greeting."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sent: Counter[str] = Counter()
        self.heard: Counter[str] = Counter()
        self.ended = asyncio.Event()
        """The other side has closed it."""
        self.reasons: list[bytes] = []
        """What its GOAWAY frames said."""
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Event()
        self._greeted = False
        self._next_stream = 1
        self._encoder = Encoder()
        self._reading = asyncio.create_task(self._read(), name="hostile reads")

    async def greet(self, settings: dict[int, int] | None = None) -> None:
        """Begins as HTTP/2 wants it."""
        await self.raw(PREFACE)
        await self.send(SettingsFrame(0, settings=settings or {}))
        self._greeted = True

    async def raw(self, data: bytes) -> None:
        """Sends bytes. Raises `TurnedAway`."""
        if self.ended.is_set() or self._writer.transport.is_closing():
            raise TurnedAway
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError:
            raise TurnedAway from None
        await asyncio.sleep(0)

    async def send(self, *frames: Frame) -> None:
        """Sends frames in one piece, and counts them. Raises `TurnedAway`."""
        await self.raw(b"".join(frame.serialize() for frame in frames))
        self.sent.update(type(frame).__name__ for frame in frames)

    async def digested(self) -> None:
        """Waits until the other side has dealt with all that was sent: it answers the ping after it, or hangs up."""
        acks = self.heard["PingFrame ACK"]
        with suppress(TurnedAway):
            await self.raw(PingFrame(0, opaque_data=b"the last").serialize())
        async with asyncio.timeout(HEARD_S_MAX):
            while self.heard["PingFrame ACK"] <= acks and not self.ended.is_set():
                self._news.clear()
                await self._news.wait()

    def stream(self) -> int:
        """The id of a new stream."""
        number, self._next_stream = self._next_stream, self._next_stream + 2
        return number

    def headers(self, path: str, metadata: Sequence[Header] = ()) -> bytes:
        """The compressed headers of a call."""
        whole: list[Header] = [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"gateway"),
            (b"te", b"trailers"), (b"content-type", b"application/grpc"), *metadata,
        ]  # fmt: skip
        return bytes(self._encoder.encode(whole))

    def call(self, stream: int, path: str, message: bytes | None, metadata: Sequence[Header] = ()) -> list[Frame]:
        """The frames of a call; without a message it does not end."""
        begin = HeadersFrame(stream, self.headers(path, metadata), flags=["END_HEADERS"])
        return [begin] if message is None else [begin, DataFrame(stream, framed(message), flags=["END_STREAM"])]

    async def closed(self, seconds: float = HEARD_S_MAX) -> None:
        """Waits until the other side has closed it. Raises `TimeoutError`."""
        await asyncio.wait_for(self.ended.wait(), seconds)

    async def close(self) -> None:
        """Hangs up."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._writer.transport.abort()

    async def _answer(self, frame: Frame) -> None:
        """Before the greeting it would be a wrong one."""
        with suppress(TurnedAway):
            if self._greeted:
                await self.raw(frame.serialize())

    async def _read(self) -> None:
        try:
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self._news.set()
                name = type(frame).__name__
                self.heard[f"{name} ACK" if "ACK" in frame.flags else name] += 1
                if isinstance(frame, GoAwayFrame):
                    self.reasons.append(bytes(frame.additional_data))
                elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                    await self._answer(SettingsFrame(0, flags=["ACK"]))
                elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                    await self._answer(PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.ended.set()
            self._news.set()


def framed(message: bytes, announced: int | None = None) -> bytes:
    """A message as gRPC frames it; `announced` is the length that it claims to have."""
    return b"\0" + (len(message) if announced is None else announced).to_bytes(4, "big") + message


@asynccontextmanager
async def hostile(address: str, *, greeting: bool = True) -> AsyncIterator[Hostile]:
    """A connection to `host:port`."""
    host, _, port = address.rpartition(":")
    one = Hostile(*await asyncio.open_connection(host, int(port)))
    try:
        if greeting:
            await one.greet()
        yield one
    finally:
        await one.close()
