"""Finding whoever owns a partition of the own service: here, or in another process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.hosting import Targets
from chapar_sourcing.ports import Unavailable


class HostLike(Protocol):
    """What a host offers to reactors of its own process."""

    def owns(self, partition: int) -> bool:
        """Whether this process is meant to own a partition, and knows of nobody who took it over for good."""

    async def submit_commands(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Decides commands in order."""

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """Merges rows."""


class HostTargets:
    """The host itself where it owns the partition, otherwise whoever the chassis knows."""

    def __init__(self, local: HostLike, remote: Targets | None) -> None:
        self._local = local
        self._remote = remote

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Decides commands in order."""
        if self._local.owns(partition):
            return await self._local.submit_commands(partition, commands)
        return await self._reached().submit(partition, commands)

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """Merges rows."""
        if self._local.owns(partition):
            await self._local.advance(partition, advances)
        else:
            await self._reached().advance(partition, advances)

    def _reached(self) -> Targets:
        if self._remote is None:
            raise Unavailable("no other process is known")
        return self._remote
