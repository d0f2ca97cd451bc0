"""Starting and ending one owner service: everything is wired here, in order, and undone in reverse.

A service's `__main__` is `sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))` with one `OwnerService`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from chapar_chassis.api import ServiceApi
from chapar_chassis.archive_command import write_archive
from chapar_chassis.backup_command import write_backup
from chapar_chassis.command_line import Command, run_command
from chapar_chassis.digest_command import print_digests
from chapar_chassis.doctor_command import print_report
from chapar_chassis.exporting import open_tracing
from chapar_chassis.forwarder import GrpcForwarder, PeerTargets
from chapar_chassis.holdings import print_holdings
from chapar_chassis.owner_server import AddServicer, add_owner, callers_allowed, make_refusals, make_server
from chapar_chassis.parent import end_with_parent, wait_parent_gone
from chapar_chassis.ports import PublishedTopic, open_owner_ports, published_topics, refuse_other_master
from chapar_chassis.position_tokens import PositionTokens
from chapar_chassis.public_rpcs import ServedBy
from chapar_chassis.restore_command import restore_backup
from chapar_chassis.rpc_server import RpcServer
from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import Address, CommonSettings, SettingsInvalid
from chapar_chassis.telemetry import Metrics, MetricsServer, make_logger, watch_event_loop
from chapar_chassis.tls import PeerCertificate
from chapar_chassis.topics_command import run_topics
from chapar_chassis.tracing import PeerSampler, Tracing
from chapar_chassis.user_ids import UserIds
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.domain import Domain, When
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostRules, PartitionHealth, Topic
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.measures import ENGINE, Measure, Measures
from chapar_sourcing.owner import OwnerPhase
from chapar_sourcing.reactions import Reaction
from chapar_sourcing.schema import schema_of
from chapar_sourcing.sealing import KeyDestroyer, Sealer
from chapar_sourcing.tenure import Transition

PublicEvent: TypeAlias = Callable[[Any, When], "tuple[str, Message] | Sequence[tuple[str, Message]] | None"]
"""(journal event, when) -> what is published of it: (topic, public event), several, or nothing."""

GRACE_SECONDS = 5.0
"""How long calls under way may still take when the process ends."""
READINESS_SECONDS = 0.25
WHAT_TO_DO = (
    "nothing is decided: put back the whole log; or `chapar restore` a backup; or, where the log is right, delete the"
    " store, which is folded from it anew"
)
"""About a log that contradicts itself or its store."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service's factories build from. Everything that waits, draws at random or knows the time is here."""

    settings: Any
    """The service's own settings, of the type that `OwnerService.settings` names."""
    secrets: Secrets
    sealer: Sealer
    user_ids: UserIds
    randomness: Callable[[int], bytes]
    """So many random bytes."""
    now_ms: Callable[[], int]
    """The process's clock; handlers use `Caller.now_ms`, which is the owner's."""
    log: Any
    """A structlog logger."""
    measures: Measures
    """Takes in what `OwnerService.measures` names, beside the engine's."""


@dataclass(frozen=True, slots=True)
class OwnerService:
    """One service that owns partitions."""

    domain: Domain[Any, Any]
    api: Callable[[ServiceContext], ServiceApi]
    settings: type[CommonSettings] = CommonSettings
    reactions: Callable[[ServiceContext], Sequence[Reaction]] = lambda _: ()
    public_event: PublicEvent = lambda _event, _when: None
    beat_topics: Sequence[str] = ()
    """Topics that get a beat each 300 ms a partition, so that readers know how fresh they are; kept for an hour."""
    read_policy: Literal["append", "heartbeat"] = "heartbeat"
    """How the owner confirms itself before a read leaves: money appends."""
    extra_servicers: Callable[[ServiceContext, OwnerHost], Sequence[AddServicer]] = lambda _context, _host: ()
    """Peer servicers beside the chassis' own; they demand the peer token as all do."""
    beside: Callable[[ServiceContext, OwnerHost], Callable[[int], Coroutine[Any, Any, None]]] | None = None
    """Work beside each partition, see `OwnerHost.beside`. Must wait by itself until the partition is owned."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """What the service measures by itself."""


def run_owner_service(service: OwnerService, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the service until SIGTERM or SIGINT, or one of its sub-commands; returns the exit status.

    No arguments: serve. `digest`: refold the journal from zero, compare with the store, print JSON a partition.
    `archive FOLDER`: continue the archive of the journal. `backup FOLDER`, `restore FOLDER`: the service's part of
    `chapar backup` and `chapar restore`; `holdings`: what there is of the service. `topics apply`, `topics check`: its
    topics on Kafka. `database prepare`, `database check`: its database on MongoDB.
    """
    commands: Mapping[str, Command] = {
        "": partial(_serve, service, environ),
        "digest": partial(_digest, service, environ),
        "archive FOLDER": partial(_archive, service, environ),
        "backup FOLDER": partial(_backup, service, environ),
        "restore FOLDER": partial(_restore, service, environ),
        "holdings": partial(_holdings, service, environ),
        "doctor": partial(_doctor, service, environ),
        "topics ACTION": partial(_topics, service, environ),
        "database ACTION": partial(_database, service, environ),
    }
    return run_command(service.domain.service, arguments, commands)


async def _digest(service: OwnerService, environ: Mapping[str, str]) -> int:
    return await print_digests(service.domain, service.settings.from_environ(environ), sys.stdout)


async def _archive(service: OwnerService, environ: Mapping[str, str], folder: str) -> int:
    settings = service.settings.from_environ(environ)
    return await write_archive(service.domain.service, settings, Path(folder), sys.stdout)


async def _backup(service: OwnerService, environ: Mapping[str, str], folder: str) -> int:
    settings = service.settings.from_environ(environ)
    return await write_backup(service.domain.service, settings, Path(folder), sys.stdin, sys.stdout)


async def _restore(service: OwnerService, environ: Mapping[str, str], folder: str) -> int:
    settings = service.settings.from_environ(environ)
    topics = published_topics(service.domain.service, service.beat_topics)
    return await restore_backup(service.domain.service, settings, topics, Path(folder), sys.stdout)


async def _holdings(service: OwnerService, environ: Mapping[str, str]) -> int:
    topics = published_topics(service.domain.service, service.beat_topics)
    return await print_holdings(service.domain.service, service.settings.from_environ(environ), topics, sys.stdout)


async def _doctor(service: OwnerService, environ: Mapping[str, str]) -> int:
    topics = published_topics(service.domain.service, service.beat_topics)
    return await print_report(service.domain.service, service.settings.from_environ(environ), topics, sys.stdout)


async def _topics(service: OwnerService, environ: Mapping[str, str], action: str) -> int:
    settings = service.settings.from_environ(environ)
    topics = published_topics(service.domain.service, service.beat_topics)
    return await run_topics(service.domain.service, settings, topics, action, sys.stdout)


async def _database(service: OwnerService, environ: Mapping[str, str], action: str) -> int:
    from chapar_chassis.database import run_database

    return await run_database(service.domain.service, service.settings.from_environ(environ), action, sys.stdout)


async def _serve(service: OwnerService, environ: Mapping[str, str]) -> int:
    settings = service.settings.from_environ(environ)
    stopping = asyncio.Event()
    end_with_parent(settings.parent_pid)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as closing:
        process = await OwnerProcess.open(service, settings, closing)
        await process.run(stopping)
    return 0


class OwnerProcess:
    """One running owner service: `open`, then `run` once."""

    def __init__(
        self, host: OwnerHost, server: RpcServer, address: Address, telling: _Telling, parent_pid: int
    ) -> None:
        self.host = host
        self.address = address
        self.metrics_address = telling.metrics_address
        self._server = server
        self._parent_pid = parent_pid
        self._log, self._metrics = telling.log, telling.metrics

    @classmethod
    async def open(cls, service: OwnerService, settings: CommonSettings, closing: AsyncExitStack) -> OwnerProcess:
        """Opens ports, takes the listeners, builds everything; `closing` undoes it. Nothing runs yet."""
        name = service.domain.service
        supported = schema_of(service.domain.event_type).supported
        if settings.schema_level > supported:
            raise SettingsInvalid(
                [f"CHAPAR_SCHEMA_LEVEL must be {supported} at most: this release knows no higher one"]
            )
        secrets = Secrets(settings.secrets_dir)
        peer_token, position_key = secrets.peer_token(), secrets.key("position.key")
        certificate = PeerCertificate.of(name, settings)
        telling = _telling(name, settings, certificate, peer_token, service.measures, closing)
        topics = published_topics(name, service.beat_topics)
        master_key = secrets.key("master.key")
        ports = await open_owner_ports(settings, name, topics, closing)
        await refuse_other_master(name, settings, master_key)
        keyring = Keyring(ports.keys, master_key=master_key, clock=SystemClock(), randomness=os.urandom)
        context = _context(settings, secrets, keyring, telling)
        api = service.api(context)

        refusals = make_refusals(name, api, telling.metrics, telling.log)
        allowed = None if certificate is None else partial(callers_allowed, name)
        server = make_server(refusals, peer_token, telling.metrics, telling.tracing, telling.log, allowed)
        address = server.bind(settings.listen, certificate)
        if settings.health_listen is not None:
            server.bind_health(settings.health_listen)
        forwarder = GrpcForwarder(
            ports.host.members, peer_token, refusals, certificate, development=settings.development
        )
        closing.push_async_callback(forwarder.close)
        host = OwnerHost(
            HostConfig(
                service=name,
                address=str(settings.advertised(address)),
                read_policy=service.read_policy,
                schema_level=settings.schema_level,
            ),
            ports.host,
            _rules(service, context, api, topics, keyring),
            measures=telling.metrics,
            remote=PeerTargets(forwarder, name),
            on_transition=telling.on_transition,
            tracer=telling.tracing,
        )
        positions = PositionTokens(position_key, name, host.generation)
        served_by = ServedBy(host, context.sealer, positions, service.domain.event_type, telling.on_ahead)
        add_owner(server, api, served_by, service.extra_servicers(context, host), development=settings.development)
        if service.beside is not None:
            host.beside = service.beside(context, host)
        return cls(host, server, address, telling, settings.parent_pid)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serves until `stopping` is set or the parent is gone.

        The end: NOT_SERVING and a moment for callers to turn away; then the host releases its partitions, whose callers
        are told to turn to others while the rest is served; then calls under way. Raises whatever must not fail.
        """
        async with asyncio.TaskGroup() as tasks:
            host = tasks.create_task(self.host.run(), name="host")
            await self._server.start()
            readiness = tasks.create_task(self._show_readiness(), name="readiness")
            looping = tasks.create_task(watch_event_loop(self._metrics), name="event-loop")
            parent = tasks.create_task(wait_parent_gone(self._parent_pid), name="parent")
            signalled = tasks.create_task(stopping.wait(), name="signal")
            try:
                await asyncio.wait({host, parent, signalled}, return_when=asyncio.FIRST_COMPLETED)
                self._log.info("stopping")
            finally:
                for task in (readiness, looping, parent, signalled):
                    task.cancel()
                await self._server.turn_away()
                self.host.stop()
                await asyncio.wait({host})
                await self._server.stop(GRACE_SECONDS)

    async def _show_readiness(self) -> None:
        """Tells health checks whether the host is ready, and the log what keeps it from being so."""
        shown: object = None
        while True:
            told = [self.host.problem, *map(_problem, self.host.health())]
            problems = Counter(problem for problem in told if problem)
            state = (self.host.ready, dict(problems))
            if state != shown:
                await self._server.set_ready(self.host.ready)
                self._show(problems)
                shown = state
            await asyncio.sleep(READINESS_SECONDS)

    def _show(self, problems: Mapping[str, int]) -> None:
        """`problems` is what is wrong, with the number of partitions that have it; 1 for the process."""
        if self.host.ready:
            # Whoever starts processes waits for this line, at any level of logging.
            log = make_logger(self.host.config.service, "info")
            probed = {"health_address": str(self._server.health_address)} if self._server.health_address else {}
            log.info("ready", address=str(self.address), metrics_address=str(self.metrics_address), **probed)
        else:
            self._log.info("not_ready", problems=problems)


def _problem(health: PartitionHealth) -> str:
    """What is wrong with a partition, and for an alarm what to do; empty when it is well."""
    alarmed = health.phase == OwnerPhase.ALARMED.value
    return f"{health.problem}; {WHAT_TO_DO}" if alarmed else health.problem


@dataclass(frozen=True, slots=True)
class _Telling:
    """What the process tells of itself."""

    log: Any
    metrics: Metrics
    metrics_address: Address
    tracing: Tracing

    def on_ahead(self, partition: int, offset: int) -> None:
        """A client has seen what a confirmed owner has not."""
        self.metrics.count("positions_beyond_owner")
        self.log.error("position_beyond_owner", partition=partition, offset=offset)

    def on_transition(self, told: Transition) -> None:
        """A partition begins to be decided here, or ends to."""
        ended = {} if told.begins else {"reason": told.reason}
        self.log.info(
            "partition_begins" if told.begins else "partition_ends",
            partition=told.partition, epoch=told.epoch, after_ms=told.after_ms, records=told.records, **ended,
        )  # fmt: skip


def _telling(
    name: str, settings: CommonSettings, certificate: PeerCertificate | None, peer_token: str,
    own: Mapping[str, Measure], closing: AsyncExitStack,
) -> _Telling:  # fmt: skip
    metrics = Metrics(CollectorRegistry(), {**ENGINE, **own})
    tracing = open_tracing(name, settings, certificate, PeerSampler(peer_token), metrics)
    closing.callback(tracing.close)
    server = MetricsServer(metrics.registry, settings.metrics_listen)
    closing.callback(server.close)
    return _Telling(make_logger(name, settings.log_level), metrics, server.address, tracing)


def _rules(
    service: OwnerService,
    context: ServiceContext,
    api: ServiceApi,
    topics: Sequence[PublishedTopic],
    keys: KeyDestroyer,
) -> HostRules:
    return HostRules(
        domain=service.domain,
        reactions=service.reactions(context),
        topics=[Topic(topic.name, topic.beat_ms) for topic in topics],
        public_event=_listed(service.public_event),
        watch=api.watch,
        keys=keys,
    )


def _context(settings: CommonSettings, secrets: Secrets, sealer: Sealer, telling: _Telling) -> ServiceContext:
    return ServiceContext(
        settings=settings,
        secrets=secrets,
        sealer=sealer,
        user_ids=UserIds(secrets.key("user_ids.key")),
        randomness=os.urandom,
        now_ms=SystemClock().now_ms,
        log=telling.log,
        measures=telling.metrics,
    )


def _listed(public_event: PublicEvent) -> Callable[[Any, When], Sequence[tuple[str, Message]]]:
    """The same with its answer always a sequence."""

    def listed(event: Any, when: When) -> Sequence[tuple[str, Message]]:
        made = public_event(event, when)
        if made is None:
            return ()
        if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], str):
            return (made,)
        return cast("Sequence[tuple[str, Message]]", made)

    return listed
