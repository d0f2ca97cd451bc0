"""The toy service: counters, with a method of each kind. Its protos are compiled here, so that no package has them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from grpc_tools import protoc

from chapar.options.v1 import options_pb2  # noqa: F401 - the pool must know the options first.
from chapar_chassis.api import Accepted, Caller, CommandRpc, QueryRpc, ServiceApi, WatchRule
from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.view import View

HERE = Path(__file__).parent
PROTOS = HERE.parents[2] / "protos"
PACKAGE = "chapar.toy.v1"
SERVICES = (f"{PACKAGE}.CounterService", f"{PACKAGE}.CounterOperatorService")
LIMIT = 100
SLOW_MS = 1_500
"""How long reading the counter "slow" takes."""


def _load() -> None:
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "toy.pb"
        bundled = str(files("grpc_tools") / "_proto")
        roots = [f"-I{HERE}", f"-I{PROTOS}", f"-I{bundled}"]
        if protoc.main(["protoc", *roots, f"--descriptor_set_out={compiled}", str(HERE / "toy.proto")]) != 0:
            raise RuntimeError("protoc refused toy.proto")
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    for file in descriptors.file:
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


_load()


def message(name: str) -> Any:
    """The class of a message of the toy."""
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.{name}"))


REASONS = EnumTypeWrapper(descriptor_pool.Default().FindEnumTypeByName(f"{PACKAGE}.Reason"))
Command, Event = message("Command"), message("Event")
AddRequest, AddResponse = message("AddRequest"), message("AddResponse")
AddOpenlyRequest, AddOpenlyResponse = message("AddOpenlyRequest"), message("AddOpenlyResponse")
GetCounterRequest, GetCounterResponse = message("GetCounterRequest"), message("GetCounterResponse")
GetOwnRequest, GetOwnResponse = message("GetOwnRequest"), message("GetOwnResponse")
InspectRequest, InspectResponse = message("InspectRequest"), message("InspectResponse")


class Counter(Document, frozen=True, array_like=True):
    """One counter."""

    value: int


class ToyDomain:
    """Counters that only grow, up to a limit."""

    service = "toy"
    command_type = Command
    event_type = Event
    documents = {"counter": Counter}  # noqa: RUF012 - as the protocol has it.
    journals_refusals = True
    keeps_answers = False

    def needs(self, command: Any) -> Sequence[Key]:
        return [Key("counter", command.counter_id)]

    def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        counter = documents.get(Key("counter", command.counter_id))
        value = command.amount + (counter.value if isinstance(counter, Counter) else 0)
        if value > LIMIT:
            return Refused("REASON_LIMIT_REACHED", {"limit": str(LIMIT), "retry_after_ms": "1500"})
        return [Event(counter_id=command.counter_id, amount=command.amount, value=value)]

    def touches(self, event: Any) -> Sequence[Key]:
        return [Key("counter", event.counter_id)]

    def evolve(self, key: Key, document: Document | None, event: Any, when: When) -> Document | None:
        return Counter(event.value)


async def value_of(view: View, counter_id: str) -> int:
    """What a counter stands at."""
    counter = (await view.get(Key("counter", counter_id))).get(Key("counter", counter_id))
    return counter.value if isinstance(counter, Counter) else 0


async def prepare_add(request: Any, caller: Caller, view: View) -> Any:
    if request.amount == 13:
        raise ZeroDivisionError("the secret is swordfish")
    if not 1 <= request.amount <= 1_000:
        return Refused("REASON_AMOUNT_INVALID")
    return Command(counter_id=request.counter_id, amount=request.amount)


async def prepare_openly(request: Any, caller: Caller, view: View) -> Any:
    return Command(counter_id=request.ticket, amount=1)


async def reply_add(request: Any, caller: Caller, accepted: Accepted) -> Any:
    return AddResponse(value=accepted.events[0].value)


async def reply_openly(request: Any, caller: Caller, accepted: Accepted) -> Any:
    return AddOpenlyResponse(value=accepted.events[0].value)


async def finish_add(request: Any, caller: Caller, accepted: Accepted, view: View) -> Refused | None:
    return Refused("REASON_AMOUNT_INVALID", {"finished": "yes"}) if request.amount == 42 else None


async def get_counter(request: Any, caller: Caller, view: View) -> Any:
    if request.counter_id == "broken":
        raise KeyError("swordfish")
    if request.counter_id == "slow":
        with contextlib.suppress(TimeoutError):
            await view.wait_until(Key("counter", "never"), bool, deadline_ms=view.now_ms + SLOW_MS)
    return GetCounterResponse(value=await value_of(view, request.counter_id))


async def get_own(request: Any, caller: Caller, view: View) -> Any:
    return GetOwnResponse(user_id=caller.user_id)


async def inspect(request: Any, caller: Caller, view: View) -> Any:
    return InspectResponse(value=await value_of(view, request.counter_id), operator=caller.operator)


async def may_watch(key: str, user_id: str, basis: str, view: View) -> bool:
    return user_id == "watcher"


async def snapshot(key: str, view: View) -> bytes:
    return str(await value_of(view, key)).encode()


def hints_of(event: Any, time_ms: int) -> Sequence[tuple[str, bytes]]:
    return [(event.counter_id, str(event.value).encode())]


def toy_api(**changes: Any) -> ServiceApi:
    """The toy's api, with some parts of it changed."""
    parts: dict[str, Any] = {
        "proto_services": SERVICES,
        "reason_enum": REASONS,
        "commands": {
            "Add": CommandRpc(prepare_add, reply_add, finish_add),
            "AddOpenly": CommandRpc(prepare_openly, reply_openly, key_subject=lambda _request, _caller: "strangers"),
        },
        "queries": {"GetCounter": QueryRpc(get_counter), "GetOwn": QueryRpc(get_own), "Inspect": QueryRpc(inspect)},
        "watch": WatchRule(may_watch, snapshot, hints_of),
    }
    return ServiceApi(**{**parts, **changes})
