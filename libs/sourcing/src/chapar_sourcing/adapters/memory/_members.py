"""Members in memory: one of each service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.ports import OwnerRow


@dataclass(slots=True)
class MemoryDirectory:
    """What all members of an installation share."""

    members: dict[str, str] = field(default_factory=dict)
    """Service -> address of the member that has joined."""
    owners: dict[str, dict[int, OwnerRow]] = field(default_factory=dict)


class MemoryMembers(Faulty):
    """The Members port."""

    def __init__(self, directory: MemoryDirectory | None = None, *, fault: Fault | None = None) -> None:
        super().__init__(fault)
        self.directory = directory if directory is not None else MemoryDirectory()
        self._joined: tuple[str, str] | None = None

    async def join(self, service: str, address: str) -> None:
        """Becomes the one member of a service."""
        await self._step("join")
        if service in self.directory.members or self._joined is not None:
            raise RuntimeError(f"{service} already has a member: process {os.getpid()}")
        self.directory.members[service] = address
        self.directory.owners.pop(service, None)
        self._joined = (service, address)

    async def beat(self) -> None:
        """Says "alive"."""
        if self._joined is None:
            raise RuntimeError("not a member")
        await self._step("beat")

    async def announce(self, service: str, partition: int, epoch: int) -> None:
        """Says that this member owns a partition."""
        if self._joined is None or self._joined[0] != service:
            raise RuntimeError(f"not a member of {service}")
        await self._step("announce", partition)
        owners = self.directory.owners.setdefault(service, {})
        known = owners.get(partition)
        if known is None or known.epoch < epoch:
            owners[partition] = OwnerRow(partition, epoch, self._joined[1])

    async def owners(self, service: str) -> Mapping[int, OwnerRow]:
        """Who owns what."""
        await self._step("owners")
        return dict(self.directory.owners.get(service, {}))

    async def close(self) -> None:
        """Leaves; nobody owns anything by this member's word, but where they were stays known."""
        if self._joined is not None and not self._closed:
            self.directory.members.pop(self._joined[0], None)
        self._closed = True
