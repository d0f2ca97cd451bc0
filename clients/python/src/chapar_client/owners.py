"""What an operator on the machine asks of an owner process itself, with the peers' token of the data folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from json import loads
from pathlib import Path
from typing import NamedTuple

import grpc
import grpc.aio

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_client.sdk import InvalidInput, Unavailable

_ASK_S_MAX = 5.0
_PLACE_S_MAX = 10.0
_OPTIONS = (("grpc.http2.bdp_probe", 0), ("grpc.enable_retries", 0))


class Endpoint(NamedTuple):
    """Where a process is reached."""

    address: str
    metrics_address: str


def addresses(data_dir: Path) -> dict[str, str]:
    """Where the services that `chapar up` runs on this folder answer, by name. Raises `InvalidInput`."""
    return {name: at.address for name, at in endpoints(data_dir).items()}


def endpoints(data_dir: Path) -> dict[str, Endpoint]:
    """The same, with where their metrics are. Raises `InvalidInput`."""
    try:
        content = loads((data_dir / "up.json").read_text(encoding="utf-8"))
        return {
            name: Endpoint(str(at["address"]), str(at.get("metrics_address", "")))
            for name, at in content["services"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(f"`chapar up` has not run on {data_dir}: give its folder with --data") from None


def peer_token(data_dir: Path, service: str) -> str:
    """The token that processes of this installation show each other. Raises `InvalidInput`."""
    path = data_dir / "secrets" / service / "peer.token"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        raise InvalidInput(f"{path} cannot be read: give the installation's folder with --data") from None


async def owners(address: str, token: str) -> peer.OwnersResponse:
    """What one process of a service knows of its partitions and members. Raises `Unavailable` when it is away."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        stub = peer_pb2_grpc.OwnerServiceStub(channel)
        try:
            return await stub.Owners(peer.OwnersRequest(), metadata=(("chapar-peer-token", token),), timeout=_ASK_S_MAX)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"the process at {address} does not answer ({error.code().name})") from None


async def place(address: str, token: str, request: peer.PlaceRequest) -> str:
    """Has a process tell all of its service where a partition belongs; why it refuses, or "".

    Raises `Unavailable` when it is away or could not: then it may be told later on.
    """
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        stub = peer_pb2_grpc.OwnerServiceStub(channel)
        try:
            answer = await stub.Place(request, metadata=(("chapar-peer-token", token),), timeout=_PLACE_S_MAX)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"the process at {address} does not answer ({error.code().name})") from None
        return answer.problem


async def rebuild(
    address: str, token: str, step: peer.RebuildStep.ValueType, partitions: Sequence[int]
) -> AsyncGenerator[peer.RebuildResponse]:
    """Has a running owner rebuild its store, and yields how that goes; leaving it ends it.

    Raises `Unavailable` when the owner is away or ends meanwhile: the same again goes on.
    """
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        stub = peer_pb2_grpc.OwnerServiceStub(channel)
        request = peer.RebuildRequest(step=step, partitions=partitions)
        try:
            async for response in stub.Rebuild(request, metadata=(("chapar-peer-token", token),)):
                yield response
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"the owner at {address} did not answer to the end ({error.code().name})") from None
