"""Where the SDK speaks TLS, and where it refuses to speak."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from chapar_client.sdk import InvalidInput
from chapar_client.sdk._transport import Transport
from tools.certificates import Authority

WAIT_S = 20.0


async def test_a_gateway_is_spoken_to_over_tls_when_its_authority_is_known(tmp_path: Path) -> None:
    authority, ca = Authority.make(), tmp_path / "ca.crt"
    ca.write_bytes(authority.pem)
    authority.issue(tmp_path / "public.crt", tmp_path / "public.key", "localhost")
    server = grpc.aio.server()
    pair = (tmp_path / "public.key").read_bytes(), (tmp_path / "public.crt").read_bytes()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    known, unknown = Transport(f"tls://127.0.0.1:{port}", ca), Transport(f"tls://127.0.0.1:{port}")
    try:
        assert await known.connected(WAIT_S)
        assert not await unknown.connected(1.0)
    finally:
        await known.close()
        await unknown.close()
        await server.stop(0)


@pytest.mark.parametrize("address", ["chapar.example:443", "10.0.0.7:7400", "[2001:db8::7]:7400"])
def test_nothing_is_sent_to_another_machine_in_the_clear(address: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(f"say tls://{address}")):
        Transport(address)


@pytest.mark.parametrize("address", ["127.0.0.1:7400", "[::1]:7400", "localhost:7400"])
def test_a_gateway_of_this_machine_may_be_spoken_to_in_the_clear(address: str) -> None:
    assert Transport(address).address == address


def test_a_file_of_authorities_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=re.escape(str(tmp_path / "ca.crt"))):
        Transport("tls://chapar.example:443", tmp_path / "ca.crt")
