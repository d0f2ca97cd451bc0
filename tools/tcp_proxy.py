"""A TCP proxy between processes and what they call, which cuts, delays and holds back what passes.

Flows in: connections to `port`. Flows out: the same bytes to the server and back, in order. At most some 200 KiB a
direction of a connection wait here; whoever sends more has to wait, as with any slow network. What was done is
counted, so that whoever does it can tell that it met something.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Self, TypeAlias

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
TORN_S_MAX = 1.0
"""Connections on which nothing passes for so long are cut all the same."""
_RESET = struct.pack("ii", 1, 0)
"""A socket that lingers for no time tells its peer so when it is closed: a reset."""
_End: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Passed:
    """What a proxy has done since it was opened."""

    bytes: int = 0
    connections: int = 0
    torn: int = 0
    """Connections cut in the middle of what was being sent."""
    cut: int = 0
    """Connections cut, those that were torn among them."""
    late: int = 0
    """Pieces that were delayed."""
    held: int = 0
    """Pieces of answers that were held back."""

    @property
    def met(self) -> int:
        """How often something was done to what passed."""
        return self.cut + self.late + self.held


@dataclass(eq=False, slots=True)
class _Connection:
    client: _End
    server: _End
    doomed: bool = False
    """To be cut at the next piece that passes."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        for _, writer in (self.client, self.server):
            writer.transport.abort()


class TcpProxy:
    """Use as `async with TcpProxy() as proxy`, then `proxy.leads_to(port_of)`; both ends on 127.0.0.1."""

    def __init__(self) -> None:
        self.passed = Passed()
        self._server_port: Callable[[], int] = int
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reset = False
        self._delay_s = 0.0
        self._answers = asyncio.Event()
        self._answers.set()
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accepted, LOOPBACK, 0, limit=CHUNK_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening().close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Where to call it."""
        return int(self._listening().sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """Where to call it, as "host:port"."""
        return f"{LOOPBACK}:{self.port}"

    def leads_to(self, port_of: Callable[[], int]) -> None:
        """Tells where the server listens, asked for each connection from now on; 0 for nowhere."""
        self._server_port = port_of

    async def cut(self, *, reset: bool, torn_s_max: float = TORN_S_MAX) -> None:
        """Cuts all connections there are, each in the middle of the next piece that passes: by a reset, or by its
        end.
        """
        self._reset = reset
        doomed = [*self._connections]
        for connection in doomed:
            connection.doomed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(torn_s_max):
                for connection in doomed:
                    await connection.ended.wait()
        for connection in doomed:
            if not connection.ended.is_set():
                self._cut(connection)
                await connection.ended.wait()

    @contextlib.asynccontextmanager
    async def delaying(self, seconds: float) -> AsyncIterator[None]:
        """Every piece passes so much later, in both directions."""
        self._delay_s = seconds
        try:
            yield
        finally:
            self._delay_s = 0.0

    @contextlib.asynccontextmanager
    async def holding_answers(self) -> AsyncIterator[None]:
        """What clients send passes, what the server sends waits here until the end: a network broken one way."""
        self._answers.clear()
        try:
            yield
        finally:
            self._answers.set()

    def _listening(self) -> asyncio.Server:
        if self._listener is None:
            raise RuntimeError("the proxy is not open")
        return self._listener

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve((reader, writer)), name="connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: _End) -> None:
        try:
            server = await asyncio.open_connection(LOOPBACK, self._server_port(), limit=CHUNK_BYTES)
        except OSError:  # nobody listens: the client finds its connection closed
            client[1].transport.abort()
            return
        connection = _Connection(client, server)
        self._connections.add(connection)
        self.passed.connections += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(connection, client[0], server[1]), name="requests")
                tasks.create_task(self._pass(connection, server[0], client[1], self._answers), name="answers")
        except asyncio.CancelledError:
            connection.abort()
            raise
        finally:
            for _, writer in (client, server):
                writer.close()
            self._connections.discard(connection)
            connection.ended.set()

    async def _pass(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        gate: asyncio.Event | None = None,
    ) -> None:  # fmt: skip
        """One direction, until it ends; the other one may go on."""
        try:
            while piece := await reader.read(CHUNK_BYTES):
                if self._delay_s:
                    self.passed.late += 1
                    await asyncio.sleep(self._delay_s)
                if gate is not None and not gate.is_set():
                    self.passed.held += 1
                    await gate.wait()
                if connection.doomed:
                    writer.write(piece[: len(piece) // 2])
                    self.passed.torn += 1
                    self._cut(connection)
                    return
                self.passed.bytes += len(piece)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except OSError:  # whoever was at one end of it has gone
            connection.abort()

    def _cut(self, connection: _Connection) -> None:
        self.passed.cut += 1
        for _, writer in (connection.client, connection.server):
            if self._reset and not writer.is_closing():
                plain: socket.socket = writer.get_extra_info("socket")
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
