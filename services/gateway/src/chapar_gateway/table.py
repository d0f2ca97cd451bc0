"""Which methods each listener serves, read off the descriptors of all public proto services.

A new RPC appears here by itself. A method without the option, of the other listener's audience, or for peers only, is
not in a listener's table: it is answered like one that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping

from chapar.gateway.v1 import gateway_pb2
from chapar.identity.v1 import identity_pb2
from chapar.messaging.v1 import messaging_pb2
from chapar.options.v1 import options_pb2 as options
from chapar.payments.v1 import payments_pb2
from chapar_chassis.routing import MethodRoute, RoutingInvalid, routes_of

FILES = (gateway_pb2, identity_pb2, messaging_pb2, payments_pb2)
"""The files whose services clients may see."""
PUBLIC_LISTENER = frozenset({options.AUDIENCE_PUBLIC, options.AUDIENCE_SESSION})
OPERATOR_LISTENER = frozenset({options.AUDIENCE_OPERATOR})


def listener_table(audiences: frozenset[options.Audience.ValueType]) -> Mapping[str, MethodRoute]:
    """The methods of a listener by full name. Raises `RoutingInvalid` for a stream that would have to be forwarded."""
    services = [
        service.full_name for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
    ]  # fmt: skip
    table = {name: route for name, route in routes_of(services).items() if route.audience in audiences}
    for route in table.values():
        if route.server_streaming and not route.local:
            raise RoutingInvalid(f"{route.full_method} is a stream, which only the gateway itself serves")
    return table
