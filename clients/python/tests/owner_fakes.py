"""Processes of a service as an operator's commands meet them: real servers that say what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from typer.testing import CliRunner, Result

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_client.cli import app

TOKEN = "ab" * 32


class Owner(peer_pb2_grpc.OwnerServiceServicer):
    """A process that says what the test says, one answer after the other; the last one again and again."""

    def __init__(self) -> None:
        self.says: list[peer.PartitionOwner] = [peer.PartitionOwner(partition=0)]
        """Of partition 0, if there is no other."""
        self.others: list[peer.PartitionOwner] = []
        self.problem = ""
        self.fails = False
        self.placed: list[peer.PlaceRequest] = []
        self.rebuilt: list[list[int]] = []
        self.moves: dict[int, Callable[[], None]] = {}
        """Partitions that move when they are rebuilt, and what happens then."""
        self.address = ""
        self._server = grpc.aio.server()

    async def start(self) -> None:
        """Answers on a port of its own."""
        peer_pb2_grpc.add_OwnerServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        """Is away from now on."""
        await self._server.stop(0)

    async def Owners(self, request: peer.OwnersRequest, context: Any) -> peer.OwnersResponse:  # noqa: N802
        assert ("chapar-peer-token", TOKEN) in context.invocation_metadata()
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        return peer.OwnersResponse(partitions=[said, *self.others])

    async def Place(self, request: peer.PlaceRequest, context: Any) -> peer.PlaceResponse:  # noqa: N802
        assert ("chapar-peer-token", TOKEN) in context.invocation_metadata()
        self.placed.append(request)
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "REASON_UNAVAILABLE")
        return peer.PlaceResponse(problem=self.problem)

    async def Rebuild(self, request: peer.RebuildRequest, context: Any) -> AsyncIterator[peer.RebuildResponse]:  # noqa: N802
        assert ("chapar-peer-token", TOKEN) in context.invocation_metadata()
        self.rebuilt.append(list(request.partitions))
        if self.problem:
            yield peer.RebuildResponse(phase=peer.REBUILD_PHASE_FAILED, problem=self.problem)
            return
        for partition in request.partitions:
            if move := self.moves.pop(partition, None):
                move()
                yield peer.RebuildResponse(partition=partition, edition=2, phase=peer.REBUILD_PHASE_MOVED)
                continue
            yield peer.RebuildResponse(partition=partition, edition=2, phase=peer.REBUILD_PHASE_SWITCHED)


class Town:
    """Two processes of payments, and the data folder that names them."""

    def __init__(self, folder: Path, one: Owner, other: Owner) -> None:
        self.one, self.other, self.folder = one, other, folder
        token = folder / "secrets" / "payments" / "peer.token"
        token.parent.mkdir(parents=True)
        token.write_text(TOKEN)
        self._know({"payments": one.address, "payments-2": other.address})

    def _know(self, processes: dict[str, str]) -> None:
        services = {name: {"address": at} for name, at in processes.items()}
        (self.folder / "up.json").write_text(json.dumps({"services": services}))

    async def types(self, *arguments: str, code: int = 0) -> Result:
        """Runs `chapar`; it must end so."""
        command = [*arguments, "--data", str(self.folder)]
        result = await asyncio.to_thread(CliRunner().invoke, app, command, env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result


def owned_by(address: str, epoch: int = 3, *, partition: int = 0, **fields: Any) -> peer.PartitionOwner:
    """What a process says of a partition that somebody owns."""
    return peer.PartitionOwner(partition=partition, epoch=epoch, address=address, **fields)


def held(epoch: int, phase: str = "owning") -> peer.PartitionHeld:
    """What it does with one itself."""
    return peer.PartitionHeld(phase=phase, epoch=epoch, offset=1, checkpoint=1)
