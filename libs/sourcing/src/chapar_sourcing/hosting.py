"""What a host is made of: its settings, its ports, the service's rules. All of it is passed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.domain import Domain, When
from chapar_sourcing.owner.messages import Bounds
from chapar_sourcing.ports import Journal, Members, Store, Stream
from chapar_sourcing.reactions import Reaction
from chapar_sourcing.recent import RecentBounds
from chapar_sourcing.schema import FIRST_LEVEL
from chapar_sourcing.sealing import KeyDestroyer
from chapar_sourcing.view import View

ReadPolicy: TypeAlias = Literal["append", "heartbeat"]
"""How an owner knows that it still is one before a read leaves: by an append of its own, or by an own heartbeat
acknowledged within the last second."""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """Settings of one service process."""

    service: str
    address: str
    """Where this process answers, "host:port"; written into claims."""
    read_policy: ReadPolicy = "heartbeat"
    owned: Sequence[int] | None = None
    """Partitions to own, for stages and tests that say so themselves; None: those that its members agree upon."""
    beat_interval_ms: int = 300
    tick_interval_ms: int = 50
    projection_linger_ms: int = 100
    projection_documents_max: int = 2_000
    ahead_documents_max: int = 200
    """Documents that a replay asks its store for at once, where the block at hand does not lack more."""
    read_wait_ms_max: int = 5_000
    """How long a read waits for a partition that is still being taken over."""
    may_claim: Callable[[int], bool] = lambda _partition: True
    """With `owned`: whether a partition may be claimed for the first time now."""
    reclaim_after_ms: int | None = None
    """With `owned`: how long a deposed owner waits before it starts anew; None: it never does."""
    stream_hole_ms_max: int = 30_000
    """How long a hole in a stream may stay before it is an alarm."""
    drain_ms_max: int = 10_000
    """How long an orderly shutdown waits until every partition is released."""
    release_ms_max: int = 4_000
    """How long a release in order waits for one partition's blocks and projections; well below the whole shutdown."""
    bounds: Bounds = field(default_factory=Bounds)
    recent: RecentBounds = field(default_factory=RecentBounds)
    schema_level: int = FIRST_LEVEL
    """The level that an operator raised the logs to: claims name it, or the log's where that is higher."""

    @property
    def ends_deposed(self) -> bool:
        """Whether a partition ends here once it was deposed, to be judged anew; otherwise it stays to say so."""
        return self.owned is None or self.reclaim_after_ms is not None


@dataclass(frozen=True, slots=True)
class HostPorts:
    """The world, already opened. The host closes them at the end of an orderly shutdown."""

    journal: Journal
    store: Store
    members: Members
    stream: Stream
    """Publishes the own topics and reads those of other services."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream that this service publishes."""

    name: str
    beat_ms: int | None = None
    """How often each partition says "nothing newer"; None: never."""


PublicEvent: TypeAlias = Callable[[Any, When], "tuple[str, Message] | Sequence[tuple[str, Message]] | None"]
"""(event, when) -> what is published of it: (topic, public event), several, at most one a topic, or nothing."""


class WatchSource(Protocol):
    """How live views of keys work in a service; `chapar_chassis.api.WatchRule` is one."""

    @property
    def authorise(self) -> Callable[[str, str, str, View], Awaitable[bool]]:
        """(key, user_id, basis, view): whether this user may watch this key on this basis."""

    @property
    def snapshot(self) -> Callable[[str, View], Awaitable[bytes]]:
        """(key, view): the state of a key as a whole."""

    @property
    def hints_of(self) -> Callable[[Any, int], Sequence[tuple[str, bytes]]]:
        """(event, time_ms): what to show to watchers of which keys."""

    @property
    def detaches_of(self) -> Callable[[Any, int], Sequence[Detach]] | None:
        """(event, time_ms): who loses the right to watch; None when nobody ever does."""


@dataclass(frozen=True, slots=True)
class Detach:
    """An end of the right to watch `key`: of one user, of one basis, or of both at once; empty means any."""

    key: str
    user_id: str = ""
    basis: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HostRules:
    """What the service brings."""

    domain: Domain[Any, Any]
    reactions: Sequence[Reaction] = ()
    topics: Sequence[Topic] = ()
    public_event: PublicEvent | None = None
    watch: WatchSource | None = None
    keys: KeyDestroyer | None = None
    """Ends the keys of erased subjects; None for a domain without erasures."""


class Targets(Protocol):
    """Whoever owns partitions of the same service, here or in other processes.

    Both calls are retried by the reactor; they raise `Unavailable` when the owner cannot be reached in time.
    """

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Decides commands in order and says each one's reason, empty when accepted.

        After a transient reason the rest of the batch was not decided and has a transient reason too.
        """

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """Merges rows; returns when they are durable and the owner has confirmed itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command for a partition, before it has a ticket."""

    actor: journal.Actor
    request_id: bytes
    content_hash: bytes
    content_key_id: str
    body: Message
    deadline_ms: int
    trace_parent: str = ""
    sealed_until_ms: int | None = None
    """See `owner.Command`."""


@dataclass(frozen=True, slots=True)
class PartitionHealth:
    """How one partition is."""

    partition: int
    phase: str
    epoch: int
    offset: int
    checkpoint: int
    problem: str
    """Empty when it is well; otherwise what an operator has to know."""
