"""Editions: one whole set of a partition's documents, rows and checkpoint in the store.

One edition of a partition is live: it is read and projected to. At most one other stands beside it: one that is being
built from the log, one kept to switch back to, or one on its way out. Here is the rule of how they follow each other;
stores keep what it says, durably, a partition. (A journal's generation is another thing: `Journal.generation`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FIRST_EDITION = 1


class EditionRefused(ValueError):
    """Editions do not follow each other so. The text is for the operator."""


class Stage(Enum):
    """What the edition beside the live one is."""

    BUILDING = "building"
    """It follows from the log in part; merged rows go into it, too."""
    KEPT = "kept"
    """It was the live one until the last switch, and stands as it stood then."""
    DROPPING = "dropping"
    """It is being deleted, and no use any more."""


@dataclass(frozen=True, slots=True)
class Editions:
    """The editions of one partition."""

    live: int = FIRST_EDITION
    other: int | None = None
    stage: Stage | None = None
    """None exactly when there is no other."""

    @property
    def building(self) -> int | None:
        """The one that is being built, if any is."""
        return self.other if self.stage is Stage.BUILDING else None

    @property
    def newest(self) -> int:
        """The highest number in use."""
        return max(self.live, self.other or self.live)

    def build(self, edition: int) -> Editions:
        """Begins to build an edition, or goes on with it: a new one, or the kept one to bring it up to date."""
        if self.other is None:
            if edition <= self.live:
                raise EditionRefused(f"edition {edition} is not newer than the live edition {self.live}")
        elif self.other != edition or self.stage is Stage.DROPPING:
            raise EditionRefused(f"edition {self.other} is {self.stage_name} beside edition {self.live}: drop it first")
        return Editions(self.live, edition, Stage.BUILDING)

    def switch(self, edition: int) -> Editions:
        """Makes the one that is being built the live one and keeps the one that was; once more changes nothing."""
        if edition == self.live:
            return self
        if self.building != edition:
            raise EditionRefused(f"edition {edition} is not being built: edition {self.live} stays")
        return Editions(edition, self.live, Stage.KEPT)

    def drop(self) -> Editions:
        """Gives up the one beside the live one."""
        return self if self.other is None else Editions(self.live, self.other, Stage.DROPPING)

    def dropped(self) -> Editions:
        """Nothing is left of the one beside the live one."""
        return Editions(self.live)

    @property
    def stage_name(self) -> str:
        """The stage in words; empty where there is no other."""
        return "" if self.stage is None else self.stage.value


def edition_cursor(edition: int, name: str) -> str:
    """Names a cursor that belongs to an edition: it is deleted with it."""
    return f"{edition_cursors(edition)}{name}"


def edition_cursors(edition: int) -> str:
    """What the names of an edition's cursors begin with."""
    return f"edition/{edition}/"
