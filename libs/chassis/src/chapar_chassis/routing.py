"""What the method options of the protos say: who may call a method, and which partition a call belongs to.

Gateways and owners read the same table off the same descriptors. A method without the option is not in it and cannot
be reached. The `_pb2` modules of the services named must have been imported: descriptors are found by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message

from chapar.options.v1 import options_pb2 as options
from chapar_sourcing.partitions import partition_of, partition_of_slot, slot_of_prefixed

KEY_CHARACTERS_MAX = 256


class RoutingInvalid(Exception):
    """The descriptors contradict what the table needs; a start with them is refused."""


@dataclass(frozen=True, slots=True)
class MethodRoute:
    """One method as its descriptor and its option tell it."""

    full_method: str
    """As on the wire: "/chapar.messaging.v1.MessagingService/SendMessage"."""
    name: str
    service: str
    """Which Chapar service owns it, such as "messaging"."""
    option: options.Method
    request_type: type[Message]
    response_type: type[Message]
    server_streaming: bool

    @property
    def audience(self) -> options.Audience.ValueType:
        """Who may call."""
        return self.option.audience

    @property
    def local(self) -> bool:
        """Whether the process that was asked answers by itself."""
        return self.option.routing.WhichOneof("key") == "local"

    @property
    def mutating(self) -> bool:
        """Whether it changes state, and its request has a request id."""
        return self.option.mutating

    def parse(self, data: bytes) -> Message | None:
        """The request, or None when the bytes are not one."""
        try:
            return self.request_type.FromString(data)
        except (DecodeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call belongs."""

    key: str
    partition: int


def routes_of(proto_services: Iterable[str]) -> Mapping[str, MethodRoute]:
    """The table of some services by full method name. Raises `RoutingInvalid`."""
    routes: dict[str, MethodRoute] = {}
    for name in proto_services:
        for method in service_descriptor(name).methods:
            if method.GetOptions().HasExtension(options.method):
                route = _route(method)
                routes[route.full_method] = route
    return routes


def service_descriptor(name: str) -> ServiceDescriptor:
    """The descriptor of a service by its full name. Raises `RoutingInvalid` when its module was not imported."""
    try:
        return descriptor_pool.Default().FindServiceByName(name)
    except KeyError:
        raise RoutingInvalid(f"no descriptor of {name}: import its _pb2 module first") from None


def place_of(route: MethodRoute, request: Message, user_id: str, partitions: int) -> Place | None:
    """Key and partition of a call, or None when the key is not in canonical form.

    `user_id` is the session's user, "" when there is none.
    """
    routing = route.option.routing
    match routing.WhichOneof("key"):
        case "field":
            return _hashed(_text(request, routing.field), partitions)
        case "slot_prefixed_field":
            key = _text(request, routing.slot_prefixed_field)
            slot = slot_of_prefixed(key)
            return None if slot is None or not is_key(key) else Place(key, partition_of_slot(slot, partitions))
        case _:
            return _hashed(user_id, partitions)


def is_key(text: str) -> bool:
    """Whether a text can be a key at all: 1 to 256 graphic ASCII characters. Services demand more of theirs."""
    return 0 < len(text) <= KEY_CHARACTERS_MAX and all("!" <= character <= "~" for character in text)


def _hashed(key: str, partitions: int) -> Place | None:
    return Place(key, partition_of(key, partitions)) if is_key(key) else None


def _text(request: Message, field: str) -> str:
    return cast(str, getattr(request, field))


def _route(method: MethodDescriptor) -> MethodRoute:
    option = method.GetOptions().Extensions[options.method]
    service = method.containing_service
    full_method = f"/{service.full_name}/{method.name}"
    _check(full_method, method, option)
    return MethodRoute(
        full_method=full_method,
        name=method.name,
        service=service.full_name.split(".")[1],
        option=option,
        request_type=_class_of(method.input_type),
        response_type=_class_of(method.output_type),
        server_streaming=method.server_streaming,
    )


def _check(full_method: str, method: MethodDescriptor, option: options.Method) -> None:
    key = option.routing.WhichOneof("key")
    if key is None or option.audience == options.AUDIENCE_UNSPECIFIED:
        raise RoutingInvalid(f"the option of {full_method} lacks its audience or its routing")
    if method.client_streaming:
        raise RoutingInvalid(f"{full_method} streams from the client, which no listener serves")
    if key == "session_user" and option.audience != options.AUDIENCE_SESSION:
        raise RoutingInvalid(f"{full_method} is routed by the session's user and may be called without a session")
    if key in ("field", "slot_prefixed_field"):
        _check_text_field(full_method, method, getattr(option.routing, key))
    if option.mutating and option.audience != options.AUDIENCE_PEER:
        _check_text_field(full_method, method, "request_id")


def _check_text_field(full_method: str, method: MethodDescriptor, name: str) -> None:
    field = method.input_type.fields_by_name.get(name)
    if field is None or field.type != FieldDescriptor.TYPE_STRING or field.is_repeated:
        raise RoutingInvalid(f"{full_method} needs a string field {name!r} in its request")


def _class_of(descriptor: Any) -> type[Message]:
    return message_factory.GetMessageClass(descriptor)
