"""Connections that cost their maker nothing must not shut others out: they are bounded in number and in idle time."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chapar_gateway.servers import FILES_RESERVED, connections_possible

from .owners import WAIT_S
from .rig import Rig, running

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, SETTINGS_TAKEN = b"\0\0\0\x04\0\0\0\0\0", b"\0\0\0\x04\x01\0\0\0\0"
CONFIG = "/chapar.gateway.v1.GatewayService/GetConfig"


class Connection:
    """A connection by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def heard(self) -> bytes:
        return await asyncio.wait_for(self._reader.read(65_536), WAIT_S)

    async def closed(self) -> None:
        """Waits until the gateway has closed it."""
        try:
            while await self.heard():
                pass
        except ConnectionError:
            return

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connected(rig: Rig) -> AsyncIterator[Connection]:
    connection = Connection(*await asyncio.open_connection(rig.address.host, rig.address.port))
    try:
        yield connection
    finally:
        connection.close()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with running(handshake_ms=200) as rig, connected(rig) as silent:
        await silent.closed()


async def test_a_connection_that_says_half_of_its_greeting_is_closed() -> None:
    async with running(handshake_ms=200) as rig, connected(rig) as slow:
        slow.send(PREFACE[:10])
        await slow.closed()


async def test_a_connection_without_calls_is_closed_and_clients_come_back_without_noticing() -> None:
    async with running(connection_idle_ms=300) as rig, connected(rig) as idle:
        await rig.call(CONFIG)
        idle.send(PREFACE + SETTINGS + SETTINGS_TAKEN)
        await idle.closed()
        await rig.call(CONFIG)


async def test_connections_beyond_the_bound_are_closed_until_one_ends() -> None:
    async with running(connections_max=2) as rig, connected(rig) as first, connected(rig) as second:
        for connection in (first, second):
            connection.send(PREFACE + SETTINGS)
            assert await connection.heard()
        async with connected(rig) as third:
            await third.closed()
        first.close()
        # The gateway notices the end in its own time: until then it turns the call's connection away, too.
        await rig.begin(CONFIG, wait_for_ready=True)


def test_the_bound_leaves_files_for_owners_and_logs() -> None:
    assert connections_possible(100) == 100
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connections_possible(2**40) == hard - FILES_RESERVED
