"""`python -m chapar_gateway`: opens what a gateway needs, runs it until SIGTERM, and closes everything in reverse."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from prometheus_client import CollectorRegistry

from chapar_chassis.command_line import run_command
from chapar_chassis.doctor_command import print_report
from chapar_chassis.exporting import open_tracing
from chapar_chassis.forwarder import GrpcForwarder
from chapar_chassis.owner_server import make_refusals
from chapar_chassis.parent import end_with_parent, wait_parent_gone
from chapar_chassis.ports import open_members, open_reading_stream
from chapar_chassis.secrets import Secrets
from chapar_chassis.telemetry import Metrics, MetricsServer, make_logger
from chapar_chassis.tls import PeerCertificate, ServerCertificate
from chapar_chassis.tokens import AccessTokenVerifier
from chapar_chassis.tracing import EdgeSampler
from chapar_gateway.gateway import Gateway, Outside
from chapar_gateway.measures import GATEWAY
from chapar_gateway.operators import Operators
from chapar_gateway.settings import GatewaySettings

NAME = "gateway"


async def serve(environ: Mapping[str, str]) -> int:
    """Runs a gateway until a signal, or until the process that started it is gone."""
    settings = GatewaySettings.from_environ(environ)
    stopping = asyncio.Event()
    end_with_parent(settings.parent_pid)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as closing:
        outside, metrics_address = await _open(settings, closing)
        gateway = Gateway(settings, outside)
        public, operator = await gateway.start()

        def announce() -> None:
            # Whoever starts processes waits for this line, at any level of logging.
            make_logger(NAME, "info").info(
                "ready", address=str(public), operator_address=str(operator), metrics_address=str(metrics_address)
            )

        async with asyncio.TaskGroup() as tasks:
            parent = tasks.create_task(_stop_with_parent(settings.parent_pid, stopping), name="parent")
            await gateway.run(stopping, announce)
            parent.cancel()
    return 0


async def _open(settings: GatewaySettings, closing: AsyncExitStack) -> tuple[Outside, object]:
    """Reads secrets and opens the ports; returns them with the address of the metrics."""
    secrets = Secrets(settings.secrets_dir)
    verifier = AccessTokenVerifier(secrets.access_token_keys())
    operators, peer_token = Operators(secrets.operators().values()), secrets.peer_token()
    certificate, shown = PeerCertificate.of(NAME, settings), _shown_to_clients(settings)
    log = make_logger(NAME, settings.log_level)
    metrics = Metrics(CollectorRegistry(), GATEWAY)
    tracing = open_tracing(NAME, settings, certificate, EdgeSampler(settings.trace_per_mille), metrics)
    closing.callback(tracing.close)
    metrics_server = MetricsServer(metrics.registry, settings.metrics_listen)
    closing.callback(metrics_server.close)
    stream = await open_reading_stream(settings)
    closing.push_async_callback(stream.close)
    members = await open_members(settings)
    closing.push_async_callback(members.close)
    refusals = make_refusals(NAME, None, metrics, log)
    forwarder = GrpcForwarder(members, peer_token, refusals, certificate, development=settings.development)
    closing.push_async_callback(forwarder.close)
    outside = Outside(
        stream=stream, forwarder=forwarder, verifier=verifier, operators=operators, refusals=refusals,
        metrics=metrics, tracing=tracing, log=log, certificate=shown,
    )  # fmt: skip
    return outside, metrics_server.address


def _shown_to_clients(settings: GatewaySettings) -> ServerCertificate | None:
    if settings.public_tls_cert is None or settings.public_tls_key is None:
        return None
    return ServerCertificate(settings.public_tls_cert, settings.public_tls_key)


async def _doctor(environ: Mapping[str, str]) -> int:
    return await print_report(NAME, GatewaySettings.from_environ(environ), None, sys.stdout)


async def _stop_with_parent(parent_pid: int, stopping: asyncio.Event) -> None:
    await wait_parent_gone(parent_pid)
    stopping.set()


if __name__ == "__main__":
    sys.exit(run_command(NAME, sys.argv[1:], {"": partial(serve, os.environ), "doctor": partial(_doctor, os.environ)}))
