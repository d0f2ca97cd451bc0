"""The public methods of a service, served over its owners: generic handlers made from descriptors and `ServiceApi`.

A command: parse, caller, fingerprint, `prepare`, decide and commit, `finish`, `reply`. A query: parse, caller,
`answer` through a confirmed read. Requests come and replies go as bytes, so that what is fingerprinted is what came.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_chassis.api import Accepted, Caller, CommandRpc, QueryRpc, ServiceApi
from chapar_chassis.callers import caller_of, timeout_ms_of
from chapar_chassis.interceptors import metadata_of
from chapar_chassis.peers import ERASED_KEY, REPLAYED_KEY
from chapar_chassis.position_tokens import POSITION_KEY, PositionTokens
from chapar_chassis.refusals import (
    DEADLINE_PASSED,
    ENTRY_TOO_LARGE,
    NOT_OWNER,
    OUTCOME_UNKNOWN,
    OVERLOADED,
    REQUEST_ID_REUSED,
    REQUEST_MALFORMED,
    CallRefused,
)
from chapar_chassis.routing import MethodRoute, RoutingInvalid, routes_of, service_descriptor
from chapar_chassis.rpc_server import MESSAGE_BYTES_MAX
from chapar_sourcing.domain import Key, Refused
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import Request
from chapar_sourcing.owner.messages import Outcome
from chapar_sourcing.refusing import SEALED_TOO_EARLY, EngineRefused
from chapar_sourcing.requests import SEALED_MS_MAX, content_hash
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

T = TypeVar("T")

_UNDECIDED = frozenset({NOT_OWNER, OVERLOADED})
"""What callers take for "nothing was decided"."""


@contextmanager
def _after_a_decision() -> Iterator[None]:
    """A partition that is given up while a reply is made refuses what is asked of it: that is no word of the command,
    which was decided. Whoever sends it again is told how."""
    try:
        yield
    except EngineRefused as refused:
        if refused.reason in _UNDECIDED:
            raise CallRefused(OUTCOME_UNKNOWN) from None
        raise


@dataclass(frozen=True, slots=True)
class ServedBy:
    """What all public methods of a process share."""

    host: OwnerHost
    sealer: Sealer
    positions: PositionTokens
    event_type: type[Message]
    on_ahead: Callable[[int, int], None] = lambda _partition, _offset: None
    """Told of a client that saw a partition beyond the end of its confirmed owner: the log may have lost records."""
    sealed_ms_max: int = SEALED_MS_MAX
    """How long a command that was made may wait for its decision, before it is made again."""


def public_handlers(api: ServiceApi, served_by: ServedBy) -> list[grpc.GenericRpcHandler]:
    """Handlers of all public methods. Raises `RoutingInvalid` when the api and the protos do not match."""
    routes = routes_of(api.proto_services)
    _check_complete(api, routes)
    handlers: dict[str, dict[str, Any]] = {name: {} for name in api.proto_services}
    for route in routes.values():
        rpc = api.commands[route.name] if route.mutating else api.queries[route.name]
        serve = _Method(route, rpc, served_by).serve
        service = route.full_method.split("/")[1]
        handlers[service][route.name] = grpc.unary_unary_rpc_method_handler(serve)
    return [grpc.method_handlers_generic_handler(name, methods) for name, methods in handlers.items()]


def _check_complete(api: ServiceApi, routes: Mapping[str, MethodRoute]) -> None:
    in_protos = {method.name for name in api.proto_services for method in service_descriptor(name).methods}
    without_option = in_protos - {route.name for route in routes.values()}
    mutating = {route.name for route in routes.values() if route.mutating}
    problems = [
        *(f"{name} has no method option" for name in sorted(without_option)),
        *(f"{route.name} is not unary" for route in routes.values() if route.server_streaming or route.local),
        *(f"{name} is mutating and not among the commands" for name in sorted(mutating - api.commands.keys())),
        *(f"{name} is not among the queries" for name in sorted(in_protos - mutating - api.queries.keys())),
        *(f"{name} is in no proto" for name in sorted((api.commands.keys() | api.queries.keys()) - in_protos)),
        *(f"{name} is a command and not mutating" for name in sorted((api.commands.keys() & in_protos) - mutating)),
        *(f"{name} is a query and mutating" for name in sorted(api.queries.keys() & mutating)),
    ]
    if problems:
        raise RoutingInvalid("; ".join(problems))


class _Method:
    """One public method."""

    def __init__(self, route: MethodRoute, rpc: CommandRpc[Any, Any] | QueryRpc[Any, Any], by: ServedBy) -> None:
        self._route = route
        self._rpc = rpc
        self._by = by

    async def serve(self, data: bytes, context: Any) -> bytes:
        """Serves one call; refusals are raised, for the interceptor to map."""
        timeout_ms = timeout_ms_of(context)
        if len(data) > MESSAGE_BYTES_MAX:
            raise CallRefused(ENTRY_TOO_LARGE)
        request = self._route.parse(data)
        if request is None:
            raise CallRefused(REQUEST_MALFORMED)
        caller = caller_of(
            self._route,
            request,
            metadata_of(context),
            partitions=self._by.host.partitions,
            now_ms=self._by.host.now_ms,
            timeout_ms=timeout_ms,
        )
        async with asyncio.timeout(timeout_ms / 1000):
            response, accepted = await self._answer(request, caller, data, _tokens(context))
        trailing: list[tuple[str, str | bytes]] = [] if accepted is None else _marks(accepted)
        with nullcontext() if accepted is None else _after_a_decision():
            offset = self._by.host.offset(caller.partition)
        token = self._by.positions.make(caller.partition, offset)
        context.set_trailing_metadata((*trailing, (POSITION_KEY, token)))
        return response.SerializeToString()

    async def _answer(
        self, request: Message, caller: Caller, data: bytes, tokens: list[Any]
    ) -> tuple[Message, Accepted | None]:
        if isinstance(self._rpc, QueryRpc):
            return await self._query(self._rpc, request, caller, tokens), None
        await self._refuse_behind(caller, tokens)
        return await self._command(self._rpc, request, caller, data)

    # ---- queries

    async def _query(self, rpc: QueryRpc[Any, Any], request: Message, caller: Caller, tokens: list[Any]) -> Message:
        await self._refuse_behind(caller, tokens)

        async def answer(view: View) -> Message | Refused:
            return await rpc.answer(request, caller, view)

        response: Message = _unless_refused(await self._read(caller, answer))
        return response

    async def _refuse_behind(self, caller: Caller, tokens: list[Any]) -> None:
        """The client has seen more of this partition than there is here: another must own it, or the log lost some."""
        seen = self._by.positions.least_offset(tokens, caller.partition)
        if self._by.host.offset(caller.partition) >= seen:
            return
        # Reading anything has the owner confirm itself; one that is no owner any more refuses here.
        await self._read(caller, lambda view: view.get(Key("", caller.key)))
        if self._by.host.offset(caller.partition) < seen:
            self._by.on_ahead(caller.partition, seen)
            here = self._by.host.offset(caller.partition)
            self._by.host.raise_alarm(caller.partition, f"a client has seen offset {seen}, the log ends at {here}")
            raise CallRefused(NOT_OWNER)

    async def _read(self, caller: Caller, reader: Callable[[View], Awaitable[T]]) -> T:
        return await self._by.host.read(caller.partition, reader, deadline_ms=caller.deadline_ms)

    # ---- commands

    async def _command(
        self, rpc: CommandRpc[Any, Any], request: Message, caller: Caller, data: bytes
    ) -> tuple[Message, Accepted]:
        subject = self._subject(rpc, request, caller)
        if caller.actor.HasField("anonymous"):
            # Routing keys of strangers are phones and tokens: what the journal keeps of a caller is the subject.
            caller = replace(caller, actor=journal.Actor(anonymous=subject))
        outcome = await self._decided(rpc, request, caller, data, subject)
        accepted = await self._accepted(outcome, data)
        with _after_a_decision():
            if rpc.finish is not None:
                finish = rpc.finish
                ended = await self._read(caller, lambda view: finish(request, caller, accepted, view))
                if ended is not None:
                    raise CallRefused(ended.reason, ended.detail)
            return await rpc.reply(request, caller, accepted), accepted

    async def _decided(
        self, rpc: CommandRpc[Any, Any], request: Message, caller: Caller, data: bytes, subject: str
    ) -> Outcome:
        """Makes the command and has it decided; makes it again where the keys it was sealed with may be old by then."""

        async def prepared(view: View) -> tuple[int, Any]:
            return view.now_ms, await rpc.prepare(request, caller, view)

        while True:
            key_id, key = await self._by.sealer.content_key(subject)
            began_ms, body = await self._read(caller, prepared)
            outcome = await self._by.host.submit(
                caller.partition,
                Request(
                    actor=caller.actor,
                    request_id=caller.request_id,
                    content_hash=content_hash(key, self._route.full_method, data),
                    content_key_id=key_id,
                    body=_unless_refused(body),
                    deadline_ms=caller.deadline_ms,
                    trace_parent=caller.trace_parent,
                    sealed_until_ms=began_ms + self._by.sealed_ms_max,
                ),
            )
            if outcome.reason != SEALED_TOO_EARLY:
                return outcome
            if self._by.host.now_ms >= caller.deadline_ms:
                raise CallRefused(DEADLINE_PASSED)

    def _subject(self, rpc: CommandRpc[Any, Any], request: Message, caller: Caller) -> str:
        return rpc.key_subject(request, caller) if rpc.key_subject is not None else caller.user_id or caller.key

    async def _accepted(self, outcome: Outcome, data: bytes) -> Accepted:
        """The events of an outcome. Raises `CallRefused` for a refusal, or an answer to something else."""
        entry = outcome.entry
        if entry is None:
            raise CallRefused(outcome.reason, outcome.detail)
        same = await self._is_same(entry, data) if outcome.unchecked else True
        if same is False:
            raise CallRefused(REQUEST_ID_REUSED)
        if entry.WhichOneof("outcome") == "refusal":
            raise CallRefused(entry.refusal.reason, entry.refusal.detail)
        events = [self._by.event_type.FromString(event) for event in entry.events.events]
        return Accepted(events, outcome.time_ms, entry.request_id, outcome.replayed, erased=same is None)

    async def _is_same(self, entry: journal.Entry, data: bytes) -> bool | None:
        """Whether a request is the one that was answered, by the key that was current then.

        None where that key was destroyed: nobody can tell any more, and the first answer is given, marked as erased.
        """
        key = await self._by.sealer.content_key_by_id(entry.content_key_id)
        if key is None:
            return None
        return hmac.compare_digest(content_hash(key, self._route.full_method, data), entry.content_hash)


def _marks(accepted: Accepted) -> list[tuple[str, str | bytes]]:
    """What an answer says of itself beside its content."""
    replayed: list[tuple[str, str | bytes]] = [(REPLAYED_KEY, "1")] if accepted.replayed else []
    return [*replayed, (ERASED_KEY, "1")] if accepted.erased else replayed


def _unless_refused(value: Any) -> Any:
    if isinstance(value, Refused):
        raise CallRefused(value.reason, value.detail)
    return value


def _tokens(context: Any) -> list[Any]:
    return [value for key, value in context.invocation_metadata() or () if key == POSITION_KEY]
