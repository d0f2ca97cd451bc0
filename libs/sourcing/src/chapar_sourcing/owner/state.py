"""An owner's parts, and what others may look at: documents in memory, queues, checkpoints.

Flows in: nothing; looking changes nothing. Flows out: effects, which the parts say and the `Owner` hands on. What does
not belong here: transitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from chapar_sourcing.domain import Document, Domain, Key
from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner.claims import Claims
from chapar_sourcing.owner.commits import Commits
from chapar_sourcing.owner.eviction import Eviction
from chapar_sourcing.owner.intake import Intake
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.messages import Bounds, Effect, OwnerPhase, Replied
from chapar_sourcing.owner.projection import Projection
from chapar_sourcing.owner.reading import Reading
from chapar_sourcing.owner.replay import Replay
from chapar_sourcing.owner.timers import Timers
from chapar_sourcing.positions import Position
from chapar_sourcing.schema import FIRST_LEVEL, schema_of


class OwnerState:
    """The parts of one partition's owner, and what may be seen of them between two inputs."""

    def __init__(
        self,
        *,
        domain: Domain[Any, Any],
        partition: int,
        journal_id: str,
        generation: int,
        address: str,
        new_writer: Callable[[], bytes],
        bounds: Bounds | None = None,
        schema_level: int = FIRST_LEVEL,
    ) -> None:
        self.phase = OwnerPhase.STARTING
        self.fold = FoldState()
        """The fold of everything applied to memory."""
        self.partition = partition
        self.bounds = bounds or Bounds()
        self._journal_id = journal_id
        self._generation = generation
        self._memory = Memory()
        self._timers = Timers(domain, self._memory, self.bounds, self._say)
        self._intake = Intake(domain, partition, self._memory, self._timers, self.bounds)
        self._projection = Projection(journal_id, generation)
        self._replay = Replay(domain, self._memory, self._intake.answers, self._projection)
        self._commits = Commits(self._memory, self._intake, self._projection, self._say)
        self.eviction = Eviction(
            memory=self._memory, intake=self._intake, timers=self._timers, commits=self._commits,
            projection=self._projection, replay=self._replay, bounds=self.bounds,
        )  # fmt: skip
        """What leaves memory."""
        self._claims = Claims(address, generation, schema_level, new_writer)
        self._schema = schema_of(domain.event_type)
        self._unanswered = 0
        """Commands received and not replied to."""
        self._reading = Reading(self._say, self._new_id)
        self._append_again = False
        self._clock_is_off = False
        self._claim_waits = False
        """Everything is folded, and the clock is off."""
        self._lapsed = False
        self._stored_up_to = -1
        """An offset that the store was seen to know of while this owner did not."""
        self._next_id = 1
        self._here_ms = 0
        """The own clock: deadlines and heartbeats are of it."""
        self._heartbeat_ms = 0
        self._effects: list[Effect] = []

    @property
    def epoch(self) -> int:
        """Of the latest own claim."""
        return self._claims.epoch

    @property
    def ended(self) -> bool:
        """Whether it will never decide again."""
        return self.phase in (OwnerPhase.DEPOSED, OwnerPhase.ALARMED, OwnerPhase.OUTDATED)

    @property
    def outdated(self) -> str:
        """Why this binary must leave the log alone; empty when it knows the log's schema level."""
        return self._schema.problem_of(self.fold.schema_level)

    def peek(self, key: Key) -> tuple[bool, Document | None]:
        """(known, document): what memory has of a key, undurable changes included; not known means ask the store."""
        slot = self._memory.slot(key)
        return (False, None) if slot is None else (True, slot.value)

    def position_of(self, key: Key) -> Position | None:
        """Position of the last durable event in a document; None when memory does not know the key."""
        slot = self._memory.slot(key)
        return None if slot is None else slot.position

    def group(self, kind: str, parent: str) -> Iterable[tuple[str, Document | None]]:
        """(id, document or None for deleted) of all that memory has of a group, in order of ids."""
        return self._memory.group(kind, parent)

    def parents(self, kind: str) -> Iterable[str]:
        """Parents of a kind that memory has documents of."""
        return self._memory.parents(kind)

    def pinned(self) -> AbstractContextManager[None]:
        """For a read that lays memory over what the store says: within it nothing leaves that was changed after the
        checkpoint confirmed now, which the store must be asked to have at least."""
        return self.eviction.pinned()

    @property
    def undurable(self) -> bool:
        """Whether memory shows changes that are not durable yet."""
        return self._commits.in_flight is not None or self._commits.pending is not None

    @property
    def waiting(self) -> int:
        """How many commands wait and are in no block: for documents, for their turn, or, as repetitions and
        refusals, for the block that they rest on."""
        return self._unanswered - self._commits.entries

    @property
    def next_timer_ms(self) -> int | None:
        """When the owner has something to do for a timer and needs a tick; None for never, as far as is known."""
        return self._timers.next_ms() if self.phase is OwnerPhase.OWNING else None

    @property
    def backlog(self) -> int:
        """How many documents and answers the store does not have yet."""
        return self._projection.backlog

    @property
    def confirmed_checkpoint(self) -> int:
        """Offset that store reads must have at least."""
        return self._projection.confirmed

    @property
    def resident(self) -> int:
        """How many documents memory holds, known absences included."""
        return len(self._memory)

    @property
    def answers_held(self) -> int:
        """How many answers memory holds."""
        return len(self._intake.answers)

    @property
    def projecting(self) -> bool:
        """Whether a round of projection has begun and is not confirmed."""
        return self._projection.in_round

    @property
    def confirmed_time_ms(self) -> int:
        """The log's clock at the confirmed checkpoint; 0 when there is none."""
        return self._projection.confirmed_time_ms

    # ---- for the parts and for transitions

    @property
    def _now_ms(self) -> int:
        """The time of decisions: the own clock, and never behind the log; nobody's but that of the newest block while
        the own clock cannot be believed."""
        if self._clock_is_off:
            return self._commits.newest_ms(self.fold)
        return max(self._here_ms, self.fold.time_ms)

    def _say(self, effect: Effect) -> None:
        if isinstance(effect, Replied):
            self._unanswered -= 1
            if effect.ticket < 0:
                self._timers.answered(effect.ticket, effect.outcome, self._now_ms)
                return
        self._effects.append(effect)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1
