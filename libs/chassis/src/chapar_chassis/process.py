"""Starting and ending one owner service: everything is wired here, in order, and undone in reverse.

A service's `__main__` is `sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))` with one `OwnerService`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import grpc
from google.protobuf.message import Message

from chapar_chassis.api import ServiceApi
from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import CommonSettings
from chapar_chassis.user_ids import UserIds
from chapar_sourcing.domain import Domain, When
from chapar_sourcing.reactions import Reaction
from chapar_sourcing.sealing import Sealer

PublicEvent: TypeAlias = Callable[[Any, When], "tuple[str, Message] | Sequence[tuple[str, Message]] | None"]
"""(journal event, when) -> what is published of it: (topic, public event), several, or nothing."""

AddServicer: TypeAlias = Callable[[grpc.aio.Server], None]
"""Adds one servicer, such as `lambda server: add_LeaseServiceServicer_to_server(servicer, server)`."""


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


@dataclass(frozen=True, slots=True)
class OwnerService:
    """One service that owns partitions."""

    domain: Domain[Any, Any]
    api: Callable[[ServiceContext], ServiceApi]
    settings: type[CommonSettings] = CommonSettings
    reactions: Callable[[ServiceContext], Sequence[Reaction]] = lambda _: ()
    public_event: PublicEvent = lambda _event, _when: None
    beat_topics: Sequence[str] = ()
    """Topics that get a beat each 300 ms a partition, so that readers know how fresh they are."""
    read_policy: Literal["append", "heartbeat"] = "heartbeat"
    """How the owner confirms itself before a read leaves: money appends."""
    extra_servicers: Callable[[ServiceContext, Any], Sequence[AddServicer]] = lambda _context, _host: ()
    """(context, OwnerHost) -> peer servicers beside the chassis' own; they demand the peer token as all do."""
    background: Callable[[ServiceContext, Any], Sequence[Coroutine[Any, Any, None]]] = lambda _context, _host: ()
    """(context, OwnerHost) -> work beside the host, each in a task of its own while the host runs; cancelled before
    the host stops. Must wait by itself until the host is ready; an exception from it ends the process."""


def run_owner_service(service: OwnerService, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the service until SIGTERM or SIGINT, or one of its sub-commands; returns the exit status.

    No arguments: serve. `digest`: refold the journal from zero, compare with the store, print JSON a partition.
    """
    raise NotImplementedError(service, arguments, environ)
