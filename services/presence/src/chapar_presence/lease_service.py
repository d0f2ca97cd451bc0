"""What gateways tell the owners of presence: leases, and a question about memberships."""

from __future__ import annotations

from typing import Any

from chapar.presence.peer.v1 import peer_pb2 as peer
from chapar.presence.peer.v1 import peer_pb2_grpc
from chapar_chassis.refusals import REQUEST_MALFORMED, CallRefused
from chapar_presence.announcer import Boards, Host
from chapar_presence.memberships import is_member
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.refusing import NOT_OWNER
from chapar_sourcing.view import View

LEASE_MS_MIN = 1_000
LEASE_MS_MAX = 60_000
USERS_MAX = 1_000
ID_CHARACTERS_MAX = 128
CHECK_DEADLINE_MS = 4_000


class LeaseServicer(peer_pb2_grpc.LeaseServiceServicer):
    """Serves `chapar.presence.peer.v1.LeaseService`; refusals are raised, for the interceptor to map."""

    def __init__(self, boards: Boards, host: Host) -> None:
        self._boards = boards
        self._host = host

    async def Renew(self, request: peer.RenewRequest, context: Any) -> peer.RenewResponse:  # noqa: N802
        """Takes leases in; what they change is journaled right after."""
        _check(request, self._host.partitions)
        board = self._boards.get(request.partition)
        if board is None:
            raise CallRefused(NOT_OWNER)
        now_ms = self._host.now_ms
        board.leases.end(request.gateway_id, request.ended_user_ids, now_ms)
        board.leases.renew(request.gateway_id, request.lease_ms, request.online_user_ids, now_ms)
        board.bell.set()
        return peer.RenewResponse()

    async def CheckMembership(  # noqa: N802
        self, request: peer.CheckMembershipRequest, context: Any
    ) -> peer.CheckMembershipResponse:
        """Says whether a user is in a conversation."""
        if not _is_id(request.user_id) or not _is_id(request.conversation_id):
            raise CallRefused(REQUEST_MALFORMED)
        if partition_of(request.user_id, self._host.partitions) != request.partition:
            raise CallRefused(REQUEST_MALFORMED)

        async def read(view: View) -> bool:
            return await is_member(view, request.user_id, request.conversation_id)

        deadline_ms = self._host.now_ms + CHECK_DEADLINE_MS
        member = await self._host.read(request.partition, read, deadline_ms=deadline_ms)
        return peer.CheckMembershipResponse(member=member)


def _check(request: peer.RenewRequest, partitions: int) -> None:
    users = [*request.online_user_ids, *request.ended_user_ids]
    well_formed = (
        _is_id(request.gateway_id)
        and LEASE_MS_MIN <= request.lease_ms <= LEASE_MS_MAX
        and max(len(request.online_user_ids), len(request.ended_user_ids)) <= USERS_MAX
        and all(_is_id(user_id) and partition_of(user_id, partitions) == request.partition for user_id in users)
    )
    if not well_formed:
        raise CallRefused(REQUEST_MALFORMED)


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_CHARACTERS_MAX and "\0" not in text
