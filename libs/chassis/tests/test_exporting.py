"""Spans on their way to a collector: what arrives, over what, and what a collector that is away costs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar_chassis.exporting import (
    BATCH_SPANS_MAX,
    CLOSE_SECONDS_MAX,
    QUEUE_SPANS_MAX,
    SEND_SECONDS_MAX,
    Collector,
    OtlpExporter,
    Spans,
    open_tracing,
)
from chapar_chassis.settings import Address, CommonSettings, SettingsInvalid
from chapar_chassis.telemetry import CHASSIS
from chapar_chassis.tls import CertificateInvalid, PeerCertificate
from chapar_chassis.tracing import EdgeSampler, Tracing
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.tracing import APPEND
from tests.e2e.otlp_sink import OtlpSink
from tools.certificates import Authority
from tools.server_process import free_ports

from .rig import PATIENCE_SECONDS, eventually

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def settings(collector: str, **more: str) -> CommonSettings:
    return CommonSettings.from_environ(
        {"CHAPAR_DATA_DIR": "/data", "CHAPAR_SECRETS_DIR": "/secrets", "CHAPAR_OTLP": collector, **more}
    )


def opened(collector: str, measures: HeldMeasures, certificate: PeerCertificate | None = None, **more: str) -> Tracing:
    return open_tracing("toy", settings(collector, **more), certificate, EdgeSampler(1_000), measures)


def record(tracing: Tracing, count: int = 1) -> None:
    for offset in range(count):
        span = tracing.begin(APPEND, PARENT, partition=1, offset=offset)
        assert span is not None
        span.end(entries=1)


def nobody() -> str:
    """Where nobody listens."""
    (port,) = free_ports(None)
    return f"127.0.0.1:{port}"


async def test_spans_arrive_with_their_service_and_are_counted() -> None:
    measures = HeldMeasures(CHASSIS)
    with OtlpSink() as sink:
        tracing = opened(sink.address, measures)
        record(tracing, 3)
        await eventually(lambda: len(sink.received) == 3)
        assert {received.step for received in sink.received} == {"toy: append"}
        assert [received.attributes["offset"] for received in sink.received] == [0, 1, 2]
        tracing.close()
    assert measures.counters == {"spans_recorded": 3, "spans_sent": 3}


def test_what_waits_is_sent_at_the_end() -> None:
    measures = HeldMeasures(CHASSIS)
    with OtlpSink() as sink:
        exporter = OtlpExporter(Collector(settings(sink.address), None), measures)
        tracing = Tracing("toy", None, Spans(exporter, measures, PATIENCE_SECONDS))
        record(tracing, 5)
        tracing.close()
        assert len(sink.received) == 5


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    measures = HeldMeasures(CHASSIS)
    tracing = opened(nobody(), measures)
    began_s = time.thread_time()
    record(tracing, 2 * QUEUE_SPANS_MAX)
    used_s = time.thread_time() - began_s
    assert used_s < 5, "recording is bookkeeping"
    began_s = time.monotonic()
    tracing.close()
    assert time.monotonic() - began_s < CLOSE_SECONDS_MAX + 20, "and not the minutes that retries would take"
    assert measures.counters["spans_sent"] == 0
    assert 0 < measures.counters["spans_lost"] <= measures.counters["spans_recorded"]


async def test_spans_are_sent_again_once_the_collector_is_back() -> None:
    measures, address = HeldMeasures(CHASSIS), nobody()
    tracing = opened(address, measures)
    record(tracing)
    await eventually(lambda: measures.counters["spans_lost"] == 1)
    with OtlpSink(listen=address) as sink:

        def arrives() -> bool:
            record(tracing)
            return bool(sink.received)

        await eventually(arrives)
        tracing.close()


async def test_a_collector_that_never_answers_holds_up_no_end(tmp_path: Path) -> None:
    measures, held = HeldMeasures(CHASSIS), threading.Event()
    with OtlpSink(held=held) as sink:
        tracing = opened(sink.address, measures)
        record(tracing)
        await eventually(lambda: sink.asked == 1)
        began_s = time.monotonic()
        tracing.close()
        assert time.monotonic() - began_s < SEND_SECONDS_MAX, "it is cut, whatever it might still have waited"
        held.set()
    assert measures.counters == {"spans_recorded": 1, "spans_lost": 1}


class Stalled:
    """A collector that takes spans and answers nobody until it is let."""

    stamp = None

    def __init__(self) -> None:
        self.batches: list[int] = []

    def open(self) -> Any:
        return self

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        def send(request: Any, timeout: float) -> None:
            self.batches.append(len(request.resource_spans[0].scope_spans[0].spans))
            assert 0 < timeout <= PATIENCE_SECONDS
            raise grpc.RpcError

        return send

    def close(self) -> None:
        self.batches.append(-1)


def test_what_waits_is_bounded_and_so_is_a_batch() -> None:
    measures, stalled = HeldMeasures(CHASSIS), Stalled()
    spans = Spans(OtlpExporter(stalled, measures), measures, PATIENCE_SECONDS)  # type: ignore[arg-type]
    tracing = Tracing("toy", None, spans)
    record(tracing, 3 * QUEUE_SPANS_MAX)
    tracing.close()
    *batches, closed = stalled.batches
    assert (max(batches), closed) == (BATCH_SPANS_MAX, -1)
    assert measures.counters["spans_lost"] == sum(batches)
    assert measures.counters["spans_recorded"] == 3 * QUEUE_SPANS_MAX


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.make()
    (tmp_path / "ca.crt").write_bytes(made.pem)
    for name in ("collector", "toy"):
        made.issue(tmp_path / f"{name}.crt", tmp_path / f"{name}.key", f"{name}.chapar")
    return made


def collecting(folder: Path) -> grpc.ServerCredentials:
    """A collector's side of mutual TLS."""
    pair = (folder / "collector.key").read_bytes(), (folder / "collector.crt").read_bytes()
    return grpc.ssl_server_credentials([pair], (folder / "ca.crt").read_bytes(), require_client_auth=True)


def test_a_collector_may_ask_for_the_process_certificate(tmp_path: Path, authority: Authority) -> None:
    certificate = PeerCertificate("toy", tmp_path / "toy.crt", tmp_path / "toy.key", tmp_path / "ca.crt")
    with OtlpSink(collecting(tmp_path)) as sink:
        for shown, arrives in ((None, 0), (certificate, 1)):
            measures = HeldMeasures(CHASSIS)
            tracing = opened(sink.address, measures, shown, CHAPAR_OTLP_CA=str(tmp_path / "ca.crt"))
            record(tracing)
            tracing.close()
            assert (len(sink.received), measures.counters["spans_lost"]) == (arrives, 1 - arrives)


async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path, authority: Authority) -> None:
    certificate = PeerCertificate("toy", tmp_path / "toy.crt", tmp_path / "toy.key", tmp_path / "ca.crt")
    measures, another = HeldMeasures(CHASSIS), Authority.make("another authority for tests")
    with OtlpSink(collecting(tmp_path)) as sink:
        another.issue(tmp_path / "toy.crt", tmp_path / "toy.key", "toy.chapar")
        tracing = opened(sink.address, measures, certificate, CHAPAR_OTLP_CA=str(tmp_path / "ca.crt"))
        record(tracing)
        await eventually(lambda: measures.counters["spans_lost"] == 1)
        authority.issue(tmp_path / "toy.crt", tmp_path / "toy.key", "toy.chapar")

        def arrives() -> bool:
            record(tracing)
            return bool(sink.received)

        await eventually(arrives)
        tracing.close()


def test_beyond_this_machine_nothing_is_sent_in_the_clear() -> None:
    kept = {"loopback": settings("127.0.0.1:4317"), "elsewhere": settings("collector.example:4317")}
    clear = {name: Collector(its, None)._clear for name, its in kept.items()}
    assert clear == {"loopback": True, "elsewhere": False}
    development = settings("collector.example:4317", CHAPAR_DEVELOPMENT="1")
    assert Collector(development, None)._clear


def test_an_authority_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no PEM")
    for name, problem in (("ca.crt", "must hold certificates"), ("missing.crt", "cannot be read")):
        with pytest.raises(CertificateInvalid, match=problem):
            opened("127.0.0.1:4317", HeldMeasures(CHASSIS), CHAPAR_OTLP_CA=str(tmp_path / name))


@pytest.mark.parametrize("address", ["collector", "collector:0", "http://collector:4317", "collector:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(SettingsInvalid, match="CHAPAR_OTLP must be"):
        settings(address)


def test_without_an_address_nothing_is_opened() -> None:
    measures = HeldMeasures(CHASSIS)
    tracing = open_tracing("toy", settings(""), None, EdgeSampler(1_000), measures)
    assert tracing.begin(APPEND, PARENT) is None
    assert settings("").otlp is None
    assert settings("127.0.0.1:4317").otlp == Address("127.0.0.1", 4317)
