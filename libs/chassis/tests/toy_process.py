"""The toy as a process: `python -m tests.toy_process`, with `libs/chassis` as the working directory."""

from __future__ import annotations

import os
import sys
from typing import Any

import grpc

from chapar_chassis.process import OwnerService, ServiceContext, run_owner_service
from chapar_sourcing.domain import When
from chapar_sourcing.host import OwnerHost

from . import toy


def publish(event: Any, when: When) -> tuple[str, Any]:
    """Every event is public, as it is."""
    return "toy.events.v1", event


async def work(context: ServiceContext, host: OwnerHost) -> None:
    """Says that it was run once the host was ready."""
    await host.wait_ready()
    context.log.info("worked", ready=host.ready)


def bell(host: OwnerHost) -> grpc.GenericRpcHandler:
    """A peer method of the toy's own."""

    async def ring(request: bytes, context: Any) -> bytes:
        return request + str(host.partitions).encode()

    methods: Any = {"Ring": grpc.unary_unary_rpc_method_handler(ring)}
    return grpc.method_handlers_generic_handler("chapar.toy.peer.v1.BellService", methods)


SERVICE = OwnerService(
    domain=toy.ToyDomain(),
    api=lambda _context: toy.toy_api(),
    public_event=publish,
    beat_topics=["toy.beats.v1"],
    extra_servicers=lambda _context, host: [lambda server: server.add_generic_rpc_handlers((bell(host),))],
    background=lambda context, host: [work(context, host)],
)

if __name__ == "__main__":
    sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))
