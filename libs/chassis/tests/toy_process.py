"""The toy as a process: `python -m tests.toy_process`, with `libs/chassis` as the working directory."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import grpc

from chapar_chassis.process import OwnerService, ServiceContext, run_owner_service
from chapar_sourcing.domain import When
from chapar_sourcing.host import OwnerHost

from . import toy


def publish(event: Any, when: When) -> tuple[str, Any]:
    """Every event is public, as it is."""
    return "toy.events.v1", event


def beside(context: ServiceContext, host: OwnerHost) -> Callable[[int], Coroutine[Any, Any, None]]:
    """Work beside each partition."""

    async def work(partition: int) -> None:
        """Says that it was run once the host was ready, and when it was ended."""
        await host.wait_ready()
        context.log.info("worked", partition=partition, ready=host.ready)
        try:
            await asyncio.Event().wait()
        finally:
            context.log.info("worked_no_more", partition=partition)

    return work


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
    beside=beside,
)

if __name__ == "__main__":
    sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))
