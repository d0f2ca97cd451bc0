"""Runs presence: the only place where its parts are put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc

from chapar.presence.peer.v1 import peer_pb2_grpc
from chapar_chassis.api import ServiceApi
from chapar_chassis.owner_server import AddServicer
from chapar_chassis.process import OwnerService, ServiceContext, run_owner_service
from chapar_presence.announcer import Announcer, Boards
from chapar_presence.domain import PresenceDomain
from chapar_presence.lease_service import LeaseServicer
from chapar_presence.published import public_event
from chapar_presence.reactors.memberships import LearnMemberships
from chapar_presence.settings import PresenceSettings
from chapar_presence.watch import watch_rule


def build_service() -> OwnerService:
    """Presence as the chassis runs it: no public methods, leases from gateways, watches."""
    boards: Boards = {}

    def servicers(_context: ServiceContext, host: Any) -> Sequence[AddServicer]:
        servicer = LeaseServicer(boards, host)

        def add(server: grpc.aio.Server) -> None:
            peer_pb2_grpc.add_LeaseServiceServicer_to_server(servicer, server)

        return (add,)

    def beside(context: ServiceContext, host: Any) -> Callable[[int], Coroutine[Any, Any, None]]:
        return Announcer(
            boards, host, grace_ms=context.settings.grace_ms, randomness=context.randomness, log=context.log
        ).keep

    return OwnerService(
        domain=PresenceDomain(),
        api=lambda _context: ServiceApi(
            proto_services=(), reason_enum=None, commands={}, queries={}, watch=watch_rule()
        ),
        settings=PresenceSettings,
        reactions=lambda _context: (LearnMemberships(),),
        public_event=public_event,
        read_policy="heartbeat",
        extra_servicers=servicers,
        beside=beside,
    )


if __name__ == "__main__":
    sys.exit(run_owner_service(build_service(), sys.argv[1:], os.environ))
