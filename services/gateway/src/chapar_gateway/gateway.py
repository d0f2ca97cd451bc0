"""A gateway's life: what it is made of, when it is ready, how it ends."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chapar_chassis.forwarder import Forwarder
from chapar_chassis.interceptors import GuardInterceptor
from chapar_chassis.refusals import Refusals
from chapar_chassis.rpc_server import RpcServer
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, watch_event_loop
from chapar_chassis.tls import ServerCertificate
from chapar_chassis.tokens import AccessTokenVerifier
from chapar_chassis.tracing import Tracing
from chapar_gateway.admission import Admission
from chapar_gateway.bodies import Bodies
from chapar_gateway.calls import Calls, UnknownMethods
from chapar_gateway.leases import RENEW_MS, Leases, renew_through
from chapar_gateway.live import Live
from chapar_gateway.operators import Operators
from chapar_gateway.revocations import Revocations
from chapar_gateway.servers import drain, make_server
from chapar_gateway.sessions import Sessions
from chapar_gateway.settings import GatewaySettings
from chapar_gateway.subscription import TICK_MS, Surroundings
from chapar_gateway.subscriptions import Subscriptions
from chapar_gateway.table import OPERATOR_LISTENER, PUBLIC_LISTENER, listener_table
from chapar_sourcing.clock import Clock, SystemClock
from chapar_sourcing.ports import Stream

REPORT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a gateway is given: all that waits, draws at random or knows the time."""

    stream: Stream
    forwarder: Forwarder
    verifier: AccessTokenVerifier
    operators: Operators
    refusals: Refusals
    metrics: Metrics
    tracing: Tracing
    log: Any
    certificate: ServerCertificate | None = None
    """What both listeners show their clients; None: everything in the clear, on this machine."""
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random.random
    new_id: Callable[[], str] = lambda: secrets.token_hex(16)
    tick_ms: int = TICK_MS
    renew_ms: int = RENEW_MS


class Gateway:
    """One gateway on two listeners."""

    def __init__(self, settings: GatewaySettings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        self._subscriptions = Subscriptions(
            subscriptions_max=settings.subscriptions_max,
            measure=lambda count: outside.metrics.gauge("subscriptions_open", count),
        )
        self._revocations = Revocations(
            outside.stream, settings.partitions, outside.clock, self._subscriptions.session_revoked
        )
        self._sessions = Sessions(outside.verifier, self._revocations, outside.clock)
        self._leases = Leases(
            outside.new_id(), settings.partitions, renew_through(outside.forwarder), outside.clock,
            renew_ms=outside.renew_ms,
        )  # fmt: skip
        self._admission = Admission(settings.calls_max)
        self._local = Live(self._subscriptions, self._leases, self._surroundings(), outside.clock, outside.new_id)
        self._public = self._server(PUBLIC_LISTENER)
        self._operator = self._server(OPERATOR_LISTENER)

    async def start(self) -> tuple[Address, Address]:
        """Listens, live but not ready; returns the addresses for clients and for operators."""
        public = self._public.bind(self._settings.listen, self._outside.certificate)
        operator = self._operator.bind(self._settings.operator_listen, self._outside.certificate)
        if self._settings.health_listen is not None:
            self._public.bind_health(self._settings.health_listen)
        await self._public.start()
        await self._operator.start()
        return public, operator

    async def run(self, stopping: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Works until `stopping`, then drains. `on_ready` is called once calls may come."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._revocations.run(), name="revocations"),
                tasks.create_task(self._leases.run(), name="leases"),
                tasks.create_task(self._report(), name="report"),
                tasks.create_task(watch_event_loop(self._outside.metrics), name="event-loop"),
                tasks.create_task(self._become_ready(on_ready), name="ready"),
            ]
            await stopping.wait()
            background.pop().cancel()
            await drain(
                (self._public, self._operator),
                self._subscriptions,
                window_ms=self._settings.drain_window_ms,
                grace_seconds=self._settings.drain_grace_ms / 1000,
            )
            for task in background:
                task.cancel()

    async def _become_ready(self, on_ready: Callable[[], None]) -> None:
        await self._revocations.wait_loaded()
        await self._public.set_ready(True)
        await self._operator.set_ready(True)
        on_ready()

    async def _report(self) -> None:
        """Tells how it is doing, for ever."""
        gauge = self._outside.metrics.gauge
        while True:
            gauge("calls_in_flight", self._admission.calls)
            gauge("sessions_revoked", self._revocations.count)
            gauge("revocations_age_seconds", self._revocations.age_ms_max / 1000)
            await asyncio.sleep(REPORT_S)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            forwarder=self._outside.forwarder,
            partitions=self._settings.partitions,
            clock=self._outside.clock,
            random=self._outside.random,
            problem_of=self._sessions.problem_of,
            tick_ms=self._outside.tick_ms,
            tracer=self._outside.tracing,
        )

    def _server(self, audiences: frozenset[Any]) -> RpcServer:
        outside = self._outside
        table = listener_table(audiences)
        self._local.check(table.values())
        calls = Calls(
            table,
            sessions=self._sessions,
            operators=outside.operators,
            admission=self._admission,
            forwarder=outside.forwarder,
            local=self._local,
            partitions=self._settings.partitions,
            random=outside.random,
        )
        bodies = Bodies(waiting_max=self._settings.bodies_max, wait_ms=self._settings.body_ms)
        guard = GuardInterceptor(outside.refusals, outside.metrics, outside.tracing, outside.log)
        server = make_server(calls, [UnknownMethods(outside.refusals), guard, bodies], self._settings)
        if self._settings.development:
            names = {name.split("/")[1] for name in table}
            server.add_reflection(sorted(names))
        return server
