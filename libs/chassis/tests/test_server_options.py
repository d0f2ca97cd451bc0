"""Bounds that gRPC keeps for us: it passes over options that it does not know, so their names are looked up in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc

from chapar_chassis import forwarder
from chapar_chassis.rpc_server import PING_MS_MIN, RpcServer, server_options
from chapar_chassis.settings import ANY_LOOPBACK_PORT

WAIT_S = 30.0
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
PINGS = b"\0\0\x08\x06\0\0\0\0\0" + b"ping-now"


@pytest.mark.parametrize("options", [server_options(1024, streams_max=10), forwarder._CHANNEL_OPTIONS])
def test_grpc_knows_each_option_by_its_name(options: list[tuple[str, object]]) -> None:
    library = Path(str(cygrpc.__file__)).read_bytes()
    assert [name for name, _ in options if name.encode() not in library] == []
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms" not in library, "the name in C is not the option's"


def test_gateways_may_ping_owners_as_often_as_they_do() -> None:
    assert dict(forwarder._CHANNEL_OPTIONS)["grpc.keepalive_time_ms"] > PING_MS_MIN


async def test_who_pings_too_often_is_told_so_and_closed() -> None:
    server = RpcServer([])
    address = server.bind(ANY_LOOPBACK_PORT)
    await server.start()
    try:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(GREETING + PINGS * 100)
        assert b"too_many_pings" in await asyncio.wait_for(reader.read(), WAIT_S)
        writer.close()
        async with grpc.aio.insecure_channel(str(address)) as channel:
            await asyncio.wait_for(channel.channel_ready(), WAIT_S)
    finally:
        await server.stop(0, turn_away_seconds=0)
