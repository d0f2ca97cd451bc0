"""Whether a process is there, and ready, by gRPC's health protocol."""

from __future__ import annotations

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

_CHECK_S_MAX = 5.0


async def checked(address: str) -> str:
    """ "ready", "not ready" or "away"."""
    async with grpc.aio.insecure_channel(address, options=(("grpc.http2.bdp_probe", 0),)) as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(service="ready"), timeout=_CHECK_S_MAX)
        except grpc.aio.AioRpcError:
            return "away"
    return "ready" if answer.status == health_pb2.HealthCheckResponse.SERVING else "not ready"
