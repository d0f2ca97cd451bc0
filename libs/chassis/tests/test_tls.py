"""Who may speak to whom between processes: certificates, names, renewal, and what is said of files that will not do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from prometheus_client import CollectorRegistry

from chapar_chassis.forwarder import ForwardFailed, GrpcForwarder
from chapar_chassis.owner_server import callers_allowed, make_refusals, make_server
from chapar_chassis.rpc_server import RpcServer
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, make_logger
from chapar_chassis.tls import CertificateInvalid, PeerCertificate, ServerCertificate
from chapar_chassis.tracing import Tracing
from chapar_sourcing.adapters.memory import MemoryDirectory, MemoryMembers
from chapar_sourcing.ports import Announcement
from tools.certificates import Authority

from .processes import health, started
from .rig import PATIENCE_SECONDS, PEER_TOKEN, Failed, failed

ANYWHERE = Address("127.0.0.1", 0)
PUBLIC, SUBMIT, PLACE, WATCH = (
    "/chapar.toy.v1.CounterService/Add",
    "/chapar.sourcing.peer.v1.OwnerService/Submit",
    "/chapar.sourcing.peer.v1.OwnerService/Place",
    "/chapar.sourcing.peer.v1.OwnerService/Watch",
)
TOKEN = (("chapar-peer-token", PEER_TOKEN),)
LOCAL = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Town:
    """An installation's authority and the certificates it has signed."""

    folder: Path
    authority: Authority

    def certificate(
        self, service: str, *, of: str = "", by: Authority | None = None, days: int = 30
    ) -> PeerCertificate:
        """A process's own: of a service, which the certificate may call something else."""
        self.issue(service, of=of, by=by, days=days)
        return PeerCertificate(of or service, *self.files(service))

    def issue(self, service: str, *, of: str = "", by: Authority | None = None, days: int = 30) -> None:
        certificate, key, _ = self.files(service)
        (by or self.authority).issue(certificate, key, f"{of or service}.chapar", days=days)

    def files(self, service: str) -> tuple[Path, Path, Path]:
        return self.folder / f"{service}.crt", self.folder / f"{service}.key", self.folder / "ca.crt"


@pytest.fixture
def town(tmp_path: Path) -> Town:
    authority = Authority.make()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    return Town(tmp_path, authority)


@asynccontextmanager
async def serving(certificate: PeerCertificate) -> AsyncIterator[str]:
    """An owner of toys; everything that it is asked it answers with what it was asked."""

    async def echo(request: bytes, context: Any) -> bytes:
        return request

    async def echoes(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield request

    metrics, log = Metrics(CollectorRegistry()), make_logger("toy", "error")
    refusals = make_refusals("toy", None, metrics, log)
    server = make_server(
        refusals, PEER_TOKEN, metrics, Tracing("toy"), log, lambda method: callers_allowed("toy", method)
    )
    one, many = grpc.unary_unary_rpc_method_handler(echo), grpc.unary_stream_rpc_method_handler(echoes)
    server.add_handlers(
        [
            grpc.method_handlers_generic_handler("chapar.toy.v1.CounterService", {"Add": one}),
            grpc.method_handlers_generic_handler(
                "chapar.sourcing.peer.v1.OwnerService", {"Submit": one, "Place": one, "Watch": many}
            ),
        ]
    )
    address = server.bind(ANYWHERE, certificate)
    await server.start()
    try:
        yield str(address)
    finally:
        await server.stop(0, turn_away_seconds=0)


async def asked(channel: grpc.aio.Channel, method: str) -> bytes | Failed:
    """What comes back."""
    async with channel:
        try:
            if method == WATCH:
                stream: Any = channel.unary_stream(method)
                return b"".join([part async for part in stream(b"?", metadata=TOKEN, timeout=PATIENCE_SECONDS)])
            call: Any = channel.unary_unary(method)
            return bytes(await call(b"?", metadata=TOKEN, timeout=PATIENCE_SECONDS))
        except grpc.aio.AioRpcError as error:
            return failed(error)


@pytest.mark.parametrize(
    ("caller", "method", "served"),
    [
        ("gateway", PUBLIC, True), ("gateway", WATCH, True), ("gateway", SUBMIT, False),
        ("toy", PUBLIC, False), ("toy", WATCH, False), ("toy", SUBMIT, True),
        ("operator", PUBLIC, False), ("operator", SUBMIT, False), ("operator", PLACE, True), ("toy", PLACE, False),
        ("payments", PUBLIC, False), ("payments", SUBMIT, False), ("payments", WATCH, False),
    ],
)  # fmt: skip
async def test_each_service_is_let_in_to_what_it_has_to_do_there(
    town: Town, caller: str, method: str, served: bool
) -> None:
    async with serving(town.certificate("toy")) as address:
        channel = town.certificate(caller).channel(address, "toy", LOCAL)
        answer = await asked(channel, method)
    if served:
        assert answer == b"?"
    else:
        assert isinstance(answer, Failed)
        assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "REASON_PEER_NOT_ALLOWED")


async def test_who_has_no_certificate_of_the_installation_is_not_heard(town: Town) -> None:
    stranger = Authority.make()
    async with serving(town.certificate("toy")) as address:
        no_certificate = grpc.ssl_channel_credentials(town.authority.pem)
        channels = [
            grpc.aio.insecure_channel(address, options=LOCAL),
            grpc.aio.secure_channel(address, no_certificate, options=LOCAL),
            town.certificate("gateway", by=stranger).channel(address, "toy", LOCAL),
        ]
        for channel in channels:
            answer = await asked(channel, PUBLIC)
            assert isinstance(answer, Failed)
            assert answer.code is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_speaks_to_the_service_it_means_and_to_no_other(town: Town) -> None:
    async with serving(town.certificate("toy")) as address:
        answer = await asked(town.certificate("gateway").channel(address, "payments", LOCAL), PUBLIC)
    assert isinstance(answer, Failed)
    assert answer.code is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_is_served_without_a_restart(town: Town) -> None:
    heir = Authority.make("the next authority")
    gateway = town.certificate("gateway")
    async with serving(town.certificate("toy")) as address:
        assert await asked(gateway.channel(address, "toy", LOCAL), PUBLIC) == b"?"
        (town.folder / "ca.crt").write_bytes(heir.pem)
        town.issue("toy", by=heir)
        town.issue("gateway", by=heir)
        assert await asked(gateway.channel(address, "toy", LOCAL), PUBLIC) == b"?"
        (town.folder / "toy.crt").unlink()  # As for a moment in each renewal that is not done by a rename.
        assert await asked(gateway.channel(address, "toy", LOCAL), PUBLIC) == b"?"


async def test_calls_go_out_with_the_renewed_certificate(town: Town) -> None:
    directory, log = MemoryDirectory(), make_logger("toy", "error")
    refusals = make_refusals("gateway", None, Metrics(CollectorRegistry()), log)
    forwarder = GrpcForwarder(MemoryMembers(directory), PEER_TOKEN, refusals, town.certificate("gateway"))
    heir = Authority.make("the next authority")
    for epoch in (1, 2):
        async with serving(town.certificate("toy", by=None if epoch == 1 else heir)) as address:
            directory.announcements["toy"].append(Announcement(0, epoch, b"m" * 16, address))
            answer = await forwarder.unary("toy", 0, PUBLIC, b"?", timeout_ms=20_000)
            assert answer.response == b"?"
        (town.folder / "ca.crt").write_bytes(heir.pem)
        town.issue("gateway", by=heir)
    await forwarder.close()


@pytest.mark.parametrize("how", ["gone", "no certificate", "no key", "another key", "unreadable", "no authority"])
async def test_files_that_do_not_fit_together_change_nothing_on_either_side_and_are_told(
    town: Town, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = town.certificate("gateway")
    async with serving(town.certificate("toy")) as address:
        for service in ("gateway", "toy"):
            _spoil(town, how, service)
            for _ in range(2):
                assert await asked(gateway.channel(address, "toy", LOCAL), PUBLIC) == b"?"
    told = [record.getMessage() for record in caplog.records if record.name == "chapar_chassis.tls"]
    sharing = 2 if how == "no authority" else 1
    assert told
    assert {told.count(problem) for problem in told} == {sharing}, "each side tells each problem once"


async def test_without_a_certificate_nothing_is_sent_beyond_this_machine(town: Town) -> None:
    directory = MemoryDirectory()
    refusals = make_refusals("gateway", None, Metrics(CollectorRegistry()), make_logger("toy", "error"))
    directory.announcements["toy"].append(Announcement(0, 1, b"m" * 16, "192.0.2.7:7400"))
    forwarder = GrpcForwarder(MemoryMembers(directory), PEER_TOKEN, refusals)
    with pytest.raises(ForwardFailed) as raised:
        await forwarder.unary("toy", 0, PUBLIC, b"?", timeout_ms=500)
    assert raised.value.status.message == "REASON_UNAVAILABLE"
    assert not forwarder._channels
    await forwarder.close()


def _spoil(town: Town, how: str, service: str = "toy") -> None:
    certificate, key, authority = town.files(service)
    match how:
        case "gone":
            certificate.unlink()
        case "no certificate":
            certificate.write_text("a certificate")
        case "no key":
            key.write_text("a key")
        case "another key":
            town.issue("payments")
            key.write_bytes(town.files("payments")[1].read_bytes())
        case "unreadable":
            key.unlink()
            key.mkdir(mode=0o700)
        case "a key for everybody":
            key.chmod(0o604)
        case "another service":
            town.issue("toy", of="payments")
        case "over":
            town.issue("toy", days=-1)
        case _:
            authority.write_text("an authority")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "toy.crt cannot be read (FileNotFoundError)"),
        ("no certificate", "toy.crt must hold certificates as PEM"),
        ("no key", "toy.key must hold a private key as PEM, without a password"),
        ("another key", "toy.key is not the key of"),
        ("a key for everybody", "toy.key can be read by everybody: give it mode 0600"),
        ("another service", "toy.crt must be for toy.chapar, which its names do not include"),
        ("over", "UTC: renew it"),
        ("no authority", "ca.crt must hold certificates as PEM"),
    ],
)
def test_files_that_will_not_do_are_named_with_the_reason(town: Town, how: str, said: str) -> None:
    town.issue("toy")
    _spoil(town, how)
    with pytest.raises(CertificateInvalid) as raised:
        PeerCertificate("toy", *town.files("toy"))
    assert said in str(raised.value)
    assert str(town.folder) in str(raised.value)


async def test_clients_need_no_certificate_where_none_is_asked_for(town: Town) -> None:
    town.issue("gateway")
    certificate, key, _ = town.files("gateway")
    server = RpcServer([])
    address = server.bind(ANYWHERE, ServerCertificate(certificate, key))
    await server.start()
    credentials = grpc.ssl_channel_credentials(town.authority.pem)
    async with grpc.aio.secure_channel(str(address), credentials) as channel:
        assert await health(channel, "live") == health_pb2.HealthCheckResponse.SERVING
    await server.stop(0, turn_away_seconds=0)


@pytest.fixture
def guarded(environ: dict[str, str], town: Town) -> dict[str, str]:
    """A toy whose peers prove who they are, with health checks in the clear on a port of their own."""
    town.issue("toy")
    names = "CHAPAR_TLS_CERT", "CHAPAR_TLS_KEY", "CHAPAR_TLS_CA"
    return {
        **environ,
        **dict(zip(names, map(str, town.files("toy")), strict=True)),
        "CHAPAR_HEALTH_LISTEN": "127.0.0.1:0",
    }


async def test_a_process_is_reached_by_its_peers_and_probed_in_the_clear(guarded: dict[str, str], town: Town) -> None:
    async with started(guarded) as running:
        address, probed = running.ready["address"], running.ready["health_address"]
        async with town.certificate("gateway").channel(address, "toy", LOCAL) as channel:
            running.client.channel = channel
            assert await running.client.add("c1", 5) == 5
        async with grpc.aio.insecure_channel(probed) as channel:
            assert await health(channel, "ready") == health_pb2.HealthCheckResponse.SERVING
            running.client.channel = channel
            answer = await running.client.add("c1", 5)
        assert isinstance(answer, Failed)
        assert answer.code is grpc.StatusCode.UNIMPLEMENTED
