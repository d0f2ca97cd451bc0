"""Those who look when a partition was taken from one who lives on: at its new owner, or at the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chapar_sourcing.partitions import partition_of_id
from tests.simulation.path.clients import INBOX, ROOM, Client, Reading

if TYPE_CHECKING:
    from tests.simulation.path.stage import Stage

LOOKS = 8
LOOK_SECONDS = (0.0, 5.0)
"""When they look, counted from the claim."""


class Crowd(Client):
    """Wishes nothing; each look is at a key of the partition that was taken over."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, "crowd", 0, 0, done=True)

    def gather(self, partition: int) -> None:
        """A partition of chat was taken over."""
        for _ in range(LOOKS):
            self.stage.world.soon(*LOOK_SECONDS, lambda: self._look(partition), self.random)

    def _look(self, partition: int) -> None:
        """Asks one of those who may take themselves for the owner."""
        stage = self.stage
        keys = [(ROOM, key) for key in stage.rooms] + [(INBOX, key) for key in stage.users]
        here = [(kind, key) for kind, key in keys if partition_of_id(key, stage.chat.partitions) == partition]
        owners = [p for p in stage.chat.processes if partition in p.owned and not p.ended]
        if owners:
            Reading(self, *self.random.choice(here)).ask(self.random.choice(owners))

    def next(self) -> None:
        """They have seen enough."""
