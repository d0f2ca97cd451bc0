"""The proxy that stands for a bad network does what it says, and counts it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from chapar_client.demo import eventually
from tools.tcp_proxy import LOOPBACK, TORN_S_MAX, TcpProxy

WAIT_S_MAX = 20.0
PIECE = bytes(range(200))


class Server:
    """Keeps what it is sent, and says what it is told to."""

    def __init__(self) -> None:
        self.heard = b""
        self.news = asyncio.Condition()
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while heard := await reader.read(1 << 16):
                async with self.news:
                    self.heard += heard
                    self.news.notify_all()
        writer.close()

    async def say(self, what: bytes) -> None:
        self._writers[-1].write(what)
        await self._writers[-1].drain()

    async def hears(self, size: int) -> None:
        async with asyncio.timeout(WAIT_S_MAX), self.news:
            await self.news.wait_for(lambda: len(self.heard) >= size)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[TcpProxy]:
    listener = await asyncio.start_server(server.serve, LOOPBACK, 0)
    async with TcpProxy() as proxy:
        proxy.leads_to(lambda: int(listener.sockets[0].getsockname()[1]))
        yield proxy
    listener.close()


async def call(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, proxy.port)


async def said(proxy: TcpProxy, server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which one piece has passed."""
    before = len(server.heard)
    reader, writer = await call(proxy)
    writer.write(PIECE)
    await server.hears(before + len(PIECE))
    return reader, writer


async def test_what_is_sent_arrives_both_ways_and_so_does_its_end(proxy: TcpProxy, server: Server) -> None:
    reader, writer = await said(proxy, server)
    await server.say(b"yes")
    assert await reader.readexactly(3) == b"yes"
    writer.write_eof()
    assert await reader.read() == b""
    assert server.heard == PIECE
    assert (proxy.passed.bytes, proxy.passed.connections, proxy.passed.cut) == (len(PIECE) + 3, 1, 0)


async def test_a_server_that_is_away_looks_like_a_connection_that_ends(proxy: TcpProxy) -> None:
    proxy.leads_to(lambda: 1)
    reader, _ = await call(proxy)
    assert await reader.read() == b""


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_comes_in_the_middle_of_what_passes(proxy: TcpProxy, server: Server, reset: bool) -> None:
    reader, writer = await said(proxy, server)
    cutting = asyncio.create_task(proxy.cut(reset=reset))
    await asyncio.sleep(0)
    writer.write(PIECE)
    await cutting
    await server.hears(len(PIECE) * 3 // 2)
    assert server.heard == PIECE + PIECE[:100]
    if reset:
        with pytest.raises(ConnectionResetError):
            await reader.read()
    else:
        assert await reader.read() == b""
    assert (proxy.passed.torn, proxy.passed.cut) == (1, 1)


async def test_a_connection_on_which_nothing_passes_is_cut_as_well_and_new_ones_are_not(
    proxy: TcpProxy, server: Server
) -> None:
    reader, _ = await said(proxy, server)
    await proxy.cut(reset=False)
    assert await reader.read() == b""
    assert (proxy.passed.torn, proxy.passed.cut) == (0, 1)
    await said(proxy, server)
    assert server.heard == 2 * PIECE


async def test_a_connection_that_its_client_has_reset_is_no_trouble_to_cut(proxy: TcpProxy, server: Server) -> None:
    async def holds() -> bool:
        return proxy.passed.held > 0

    _, writer = await said(proxy, server)
    async with proxy.holding_answers():
        await server.say(b"yes")
        await eventually(holds, "an answer is held back")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        cutting = asyncio.create_task(proxy.cut(reset=True))
        await asyncio.wait([cutting], timeout=2 * TORN_S_MAX)
        assert proxy.passed.cut == 1
    await cutting


async def test_what_is_delayed_arrives_late_in_order_and_is_counted(proxy: TcpProxy, server: Server) -> None:
    _, writer = await said(proxy, server)
    clock = asyncio.get_running_loop().time
    async with proxy.delaying(0.2):
        began_s = clock()
        writer.write(b"first")
        writer.write(b"second")
        await server.hears(len(PIECE) + 11)
        assert clock() - began_s >= 0.2
    assert server.heard == PIECE + b"firstsecond"
    assert proxy.passed.late >= 1


async def test_held_answers_come_when_it_is_over_while_requests_pass(proxy: TcpProxy, server: Server) -> None:
    async def holds() -> bool:
        return proxy.passed.held > 0

    reader, writer = await said(proxy, server)
    async with proxy.holding_answers():
        await server.say(b"yes")
        writer.write(PIECE)
        await server.hears(2 * len(PIECE))
        await eventually(holds, "an answer is held back")
        answer = asyncio.create_task(reader.readexactly(3))
        await asyncio.wait([answer], timeout=0.1)
        assert not answer.done()
    assert await answer == b"yes"


async def test_whoever_sends_more_than_is_taken_has_to_wait(proxy: TcpProxy, server: Server) -> None:
    reader, _ = await said(proxy, server)
    async with proxy.holding_answers():
        sending = asyncio.create_task(server.say(bytes(64 << 20)))
        await asyncio.wait([sending], timeout=0.5)
        assert not sending.done()
        assert proxy.passed.bytes == len(PIECE)
    assert len(await reader.readexactly(64 << 20)) == 64 << 20
    await sending
