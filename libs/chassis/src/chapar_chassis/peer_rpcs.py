"""What reactors, gateways and operators of this installation ask of an owner process: `OwnerService` on the host.

The peer token has been checked; nothing here knows the service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_chassis.rebuild_rpc import rebuild_responses
from chapar_chassis.refusals import REQUEST_MALFORMED, CallRefused
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import PartitionHealth
from chapar_sourcing.members import PlacementRefused
from chapar_sourcing.ports import Announcement, Placement

BATCH_MAX = 1_000
"""Commands or advances a call."""


class OwnerServicer(peer_pb2_grpc.OwnerServiceServicer):
    """Serves `chapar.sourcing.peer.v1.OwnerService`; refusals are raised, for the interceptor to map."""

    def __init__(self, host: OwnerHost) -> None:
        self._host = host

    async def Submit(self, request: peer.SubmitRequest, context: Any) -> peer.SubmitResponse:  # noqa: N802
        """Decides commands of a reactor."""
        _check_batch(len(request.commands))
        reasons = await self._host.submit_commands(request.partition, request.commands)
        return peer.SubmitResponse(outcomes=[peer.SubmittedOutcome(reason=reason) for reason in reasons])

    async def Advance(self, request: peer.AdvanceRequest, context: Any) -> peer.AdvanceResponse:  # noqa: N802
        """Merges rows."""
        _check_batch(len(request.advances))
        await self._host.advance(request.partition, request.advances)
        return peer.AdvanceResponse()

    async def Watch(self, request: peer.WatchRequest, context: Any) -> AsyncIterator[peer.WatchResponse]:  # noqa: N802
        """A live view of a key; flow control is the transport's, the host bounds what waits."""
        async for frame in self._host.watch(request):
            yield frame

    async def Digest(self, request: peer.DigestRequest, context: Any) -> peer.DigestResponse:  # noqa: N802
        """Digest of what the owner holds."""
        return await self._host.digest(request.partition)

    async def Rebuild(  # noqa: N802
        self, request: peer.RebuildRequest, context: Any
    ) -> AsyncIterator[peer.RebuildResponse]:
        """Other editions of the store; it ends where it is when the caller goes."""
        async with aclosing(rebuild_responses(self._host, request)) as responses:
            async for response in responses:
                yield response

    async def Owners(self, request: peer.OwnersRequest, context: Any) -> peer.OwnersResponse:  # noqa: N802
        """Who owns what, as far as this process knows."""
        host = self._host
        held = {health.partition: health for health in host.health()}
        return peer.OwnersResponse(
            partitions=[
                _owner(p, host.owners.get(p), held.get(p), host.placements.get(p)) for p in range(host.partitions)
            ],
            members=[
                peer.MemberSeen(
                    member=seen.member, address=seen.address, alive=seen.alive, draining=seen.draining, unfit=seen.unfit
                )
                for seen in host.members
            ],
        )

    async def Place(self, request: peer.PlaceRequest, context: Any) -> peer.PlaceResponse:  # noqa: N802
        """Where an operator wants a partition; the words are for whoever has the files of the installation, too."""
        try:
            await self._host.place(request.partition, request.address, reason=request.reason, operator=request.operator)
        except PlacementRefused as problem:
            return peer.PlaceResponse(problem=str(problem))
        return peer.PlaceResponse()


def _owner(
    partition: int, said: Announcement | None, health: PartitionHealth | None, placed: Placement | None
) -> peer.PartitionOwner:
    owner = peer.PartitionOwner(partition=partition)
    if said is not None:
        owner.epoch, owner.address, owner.released = said.epoch, said.address, said.released
    if health is not None:
        owner.held.CopyFrom(
            peer.PartitionHeld(
                phase=health.phase, epoch=health.epoch, offset=health.offset, checkpoint=health.checkpoint,
                problem=health.problem,
            )
        )  # fmt: skip
    if placed is not None:
        owner.placed.CopyFrom(
            peer.PartitionPlaced(
                address=placed.address, reason=placed.reason, operator=placed.operator, time_ms=placed.time_ms
            )
        )
    return owner


def _check_batch(size: int) -> None:
    if size > BATCH_MAX:
        raise CallRefused(REQUEST_MALFORMED)
