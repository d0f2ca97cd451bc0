"""status: are the five there, and ready?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import grpc
import grpc.aio
import typer
from grpc_health.v1 import health_pb2

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import UNAVAILABLE
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.owners import addresses

_CHECK_S_MAX = 2.0


def status(
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    json: Json = False,
) -> None:
    """Show the health of the five services that `chapar up` runs on this machine."""

    async def work(output: Output) -> None:
        well = True
        for service, address in addresses(data_folder(os.environ, data)).items():
            state = await checked(address)
            well = well and state == "ready"
            output.show(
                f"{service:<12}  {state:<12}  {address}",
                style="green" if state == "ready" else "red",
                service=service,
                state=state,
                address=address,
            )
        if not well:
            raise typer.Exit(UNAVAILABLE)

    run_plain(work, as_json=json)


async def checked(address: str) -> str:
    """ "ready", "not ready" or "away", by gRPC's health protocol."""
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
