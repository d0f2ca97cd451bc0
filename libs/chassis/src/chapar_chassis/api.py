"""How a service describes its RPCs to the chassis.

A service's `api` module builds one `ServiceApi`: for each public method either a `CommandRpc` (it is decided and
journaled) or a `QueryRpc` (it reads). The chassis does the rest: who calls, which partition, deadlines, request ids,
repetition, sealing keys, statuses. `serve` refuses to start when a method of the service's protos is missing here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Refused
from chapar_sourcing.hosting import Detach
from chapar_sourcing.view import View

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the gateway has established it."""

    actor: journal.Actor
    key: str
    """The routing key of this call: its documents live in this key's partition. For slot-prefixed ids, the id."""
    partition: int
    deadline_ms: int
    now_ms: int
    user_id: str = ""
    """Empty unless a user's session calls."""
    session_id: str = ""
    operator: str = ""
    """Empty unless an operator calls."""
    request_id: bytes = b""
    """Empty on queries."""
    trace_parent: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What happened, as the journal has it: the first answer and every repetition are built from the same."""

    events: Sequence[Any]
    """The service's `Event` messages of this command, in order; may be empty."""
    time_ms: int
    """The block's clock."""
    request_id: bytes
    replayed: bool
    erased: bool = False
    """The first answer to an id whose content key was destroyed: whether this request is the same nobody knows."""


@dataclass(frozen=True, slots=True)
class CommandRpc(Generic[RequestT, ResponseT]):
    """A method that changes state.

    `prepare` checks the request's form and makes the service's complete `Command` (sealed, with all randomness), or
    refuses; it may read through the view, but rules of state belong in `decide`. `reply` builds the response from
    events alone. `finish`, where given, runs after the command is durable and before `reply`: it may wait for a later
    decision and refuse; it must be repeatable.
    """

    prepare: Callable[[RequestT, Caller, View], Awaitable[Message | Refused]]
    reply: Callable[[RequestT, Caller, Accepted], Awaitable[ResponseT]]
    finish: Callable[[RequestT, Caller, Accepted, View], Awaitable[Refused | None]] | None = None
    key_subject: Callable[[RequestT, Caller], str] | None = None
    """Whose data key fingerprints the request; the caller's user id (or the routing key) unless given. For anonymous
    callers also the actor that the journal names: neither phone nor token, and bounded in number."""


@dataclass(frozen=True, slots=True)
class QueryRpc(Generic[RequestT, ResponseT]):
    """A method that reads. Its response leaves only once all it saw is durable and the owner is confirmed."""

    answer: Callable[[RequestT, Caller, View], Awaitable[ResponseT | Refused]]


@dataclass(frozen=True, slots=True)
class WatchRule:
    """How live views of keys work in a service.

    `authorise` decides whether `user_id` may watch `key` on the strength of `basis`. `snapshot` is the state of a key
    as a whole. What is shown as changes comes from hints of advances and from `hint_of`.
    """

    authorise: Callable[[str, str, str, View], Awaitable[bool]]
    """(key, user_id, basis, view)."""
    snapshot: Callable[[str, View], Awaitable[bytes]]
    hints_of: Callable[[Any, int], Sequence[tuple[str, bytes]]]
    """(event, time_ms) -> (key, hint) pairs to show to watchers once the event is durable."""
    detaches_of: Callable[[Any, int], Sequence[Detach]] | None = None
    """(event, time_ms) -> who loses the right to watch; None when nobody ever does."""


@dataclass(frozen=True, slots=True)
class ServiceApi:
    """All methods of one service."""

    proto_services: Sequence[str]
    """Full names, such as "chapar.messaging.v1.MessagingService"."""
    reason_enum: Any
    """The service's `Reason` enum wrapper, which carries the status of each reason."""
    commands: Mapping[str, CommandRpc[Any, Any]]
    """By method name, such as "SendMessage"."""
    queries: Mapping[str, QueryRpc[Any, Any]]
    watch: WatchRule | None = None
