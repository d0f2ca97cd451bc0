"""Every public method, read off the descriptors.

One request message belongs to one method, so a request says by its type where it goes, what answers it and whether it
changes state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chapar.gateway.v1 import gateway_pb2
from chapar.identity.v1 import identity_pb2
from chapar.messaging.v1 import messaging_pb2
from chapar.options.v1 import options_pb2
from chapar.payments.v1 import payments_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """What a client needs to know of one method."""

    path: str
    """ "/chapar.messaging.v1.MessagingService/SendMessage"."""
    request_type: type[Message]
    response_type: type[Message]
    public: bool
    """Callable without a token."""
    mutating: bool
    key_field: str
    """Field that holds the routing key; empty when the session's user is the key or the gateway answers itself."""

    @property
    def service(self) -> str:
        """ "chapar.messaging.v1.MessagingService"."""
        return self.path.split("/")[1]


def _of_module(module: Any) -> Iterator[Method]:
    for service in module.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            option = method.GetOptions().Extensions[options_pb2.method]
            yield Method(
                path=f"/{service.full_name}/{method.name}",
                request_type=GetMessageClass(method.input_type),
                response_type=GetMessageClass(method.output_type),
                public=option.audience == options_pb2.AUDIENCE_PUBLIC,
                mutating=option.mutating,
                key_field=option.routing.field or option.routing.slot_prefixed_field,
            )


METHODS: Mapping[str, Method] = {
    method.path: method
    for module in (gateway_pb2, identity_pb2, messaging_pb2, payments_pb2)
    for method in _of_module(module)
}
"""All public methods by path."""

_BY_REQUEST = {method.request_type.DESCRIPTOR.full_name: method for method in METHODS.values()}


def method_of(request: Message) -> Method:
    """The method that a request message belongs to."""
    return _BY_REQUEST[request.DESCRIPTOR.full_name]
