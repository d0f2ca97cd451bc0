"""The listener of an owner service: its public methods, what peers ask, health, and reflection in development."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

import grpc

from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_chassis.api import ServiceApi
from chapar_chassis.interceptors import GuardInterceptor
from chapar_chassis.peer_rpcs import OwnerServicer
from chapar_chassis.peers import Allowed, PeerInterceptor
from chapar_chassis.public_rpcs import ServedBy, public_handlers
from chapar_chassis.refusals import Refusals
from chapar_chassis.rpc_server import RpcServer
from chapar_chassis.telemetry import Metrics
from chapar_chassis.tls import name_of
from chapar_chassis.tracing import Tracing

AddServicer: TypeAlias = Callable[[grpc.aio.Server], None]
"""Adds one servicer, such as `lambda server: add_LeaseServiceServicer_to_server(servicer, server)`."""

OWNER_SERVICE = "chapar.sourcing.peer.v1.OwnerService"
OPERATORS_METHODS = frozenset({"Digest", "Rebuild", "Owners", "Place"})


def make_refusals(service: str, api: ServiceApi | None, metrics: Metrics, log: Any) -> Refusals:
    """The mapping of one process, with incidents going to its log and its metrics."""

    def on_incident(incident: str, error: BaseException) -> None:
        metrics.incidents.inc()
        log.error("incident", incident_id=incident, error=error)

    return Refusals(service, None if api is None else api.reason_enum, on_incident)


def make_server(
    refusals: Refusals, peer_token: str, metrics: Metrics, tracing: Tracing, log: Any, allowed: Allowed | None = None
) -> RpcServer:
    """A server for peers: everything is guarded, and only processes of this installation are let in.

    `allowed` tells who may call a method, where processes have certificates.
    """
    guard = GuardInterceptor(refusals, metrics, tracing, log)
    server = RpcServer([guard, PeerInterceptor(peer_token, allowed)])
    server.before_stop(guard.end_streams)
    return server


def callers_allowed(service: str, method: str) -> Collection[str]:
    """Names in certificates that may call a method of an owner, given as "/package.Service/Method".

    What clients ask and watch comes through gateways; what partitions tell each other comes from the service itself;
    operators look, move and rebuild, and decide nothing.
    """
    package, _, name = method.removeprefix("/").rpartition("/")
    if package != OWNER_SERVICE or name == "Watch":
        return (name_of("gateway"),)
    return (name_of("operator" if name in OPERATORS_METHODS else service),)


def add_owner(
    server: RpcServer, api: ServiceApi, served_by: ServedBy, servicers: Sequence[AddServicer], *, development: bool
) -> None:
    """Adds all that an owner serves. Raises `RoutingInvalid` when the api and its protos do not match."""
    server.add_handlers(public_handlers(api, served_by))
    peer_pb2_grpc.add_OwnerServiceServicer_to_server(OwnerServicer(served_by.host), server.grpc)
    for add in servicers:
        add(server.grpc)
    if development:
        server.add_reflection((*api.proto_services, OWNER_SERVICE))
