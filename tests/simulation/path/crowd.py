"""Those who look when a partition was taken from one who lives on, at its new owner or at the old one; and those who
look into an inbox that has just been brought something, or into a room where a message was just taken back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chapar_sourcing.partitions import partition_of_id
from tests.simulation.path.clients import INBOX, ROOM, Client, Reading

if TYPE_CHECKING:
    from tests.simulation.path.process import Process
    from tests.simulation.path.stage import Stage

FIRST_SECONDS = (0.05, 0.3)
"""When each key is looked at that the claimant has taken over, counted from the claim: it remembers what it shows."""
LAST_SECONDS = (0.05, 1.0)
"""When each key is looked at where it was before the claim: at who may not know it yet."""
LOOKS = 4
LOOK_SECONDS = (0.3, 5.0)
"""When others look, at either."""
NEWS_SECONDS = (0.0, 0.1)
"""When a key is looked at of which there is news."""


class Crowd(Client):
    """Wishes nothing, looks."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, "crowd", 0, 0, done=True)

    def gather(self, partition: int, before: str, claimant: str) -> None:
        """A partition of chat was taken over."""
        stage, soon = self.stage, self.stage.world.soon
        keys = [(ROOM, key) for key in stage.rooms] + [(INBOX, key) for key in stage.users]
        here = [(kind, key) for kind, key in keys if partition_of_id(key, stage.chat.partitions) == partition]
        for key in here:
            soon(*FIRST_SECONDS, partial(self._look, partition, key, claimant), self.random)
            soon(*LAST_SECONDS, partial(self._look, partition, key, before), self.random)
        for _ in range(LOOKS):
            soon(*LOOK_SECONDS, partial(self._look, partition, self.random.choice(here)), self.random)

    def told(self, kind: str, key: str) -> None:
        """There is news of a key: who asks for it from now on sees them, at whoever answers."""
        partition = partition_of_id(key, self.stage.chat.partitions)
        for owner in self._owners(partition):
            look = partial(self._look, partition, (kind, key), owner.name)
            self.stage.world.soon(*NEWS_SECONDS, look, self.random)

    def _look(self, partition: int, at: tuple[str, str], name: str = "") -> None:
        """Asks the process of this name, by default one of those who may take themselves for the owner."""
        asked = [owner for owner in self._owners(partition) if name in (owner.name, "")]
        if asked:
            Reading(self, *at).ask(self.random.choice(asked))

    def _owners(self, partition: int) -> list[Process]:
        return [p for p in self.stage.chat.processes if partition in p.owned and not p.ended]

    def next(self) -> None:
        """They have seen enough."""
