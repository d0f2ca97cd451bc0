"""What the store lacks: durable changes of documents and answers, gathered until a projector takes them.

Changes are stored in rounds: a round is everything gathered when it begins, in batches of bounded size; the last one
moves the checkpoint to where the round began. What changes meanwhile is of the next round, so that the checkpoint
moves on however busy the partition is.
"""

from __future__ import annotations

from itertools import islice

from chapar_sourcing.domain import Key
from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner.blocks import Answer, AnswerId, Block, answer_key
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.messages import ProjectionBatch
from chapar_sourcing.ports.store import Checkpoint, DocumentWrite
from chapar_sourcing.positions import Position

RECORDS_WITHOUT_DOCUMENTS_MAX = 256
"""The checkpoint follows records that change no document only this far behind."""


class Projection:
    """Later changes of a document replace earlier ones; a batch taken is the same until it is confirmed."""

    def __init__(self, journal_id: str, generation: int) -> None:
        self._journal_id = journal_id
        self._generation = generation
        self._confirmed_fold = FoldState()
        self._gathered: dict[Key, DocumentWrite] = {}
        self._round: dict[Key, DocumentWrite] = {}
        self._round_fold = FoldState()
        """What the checkpoint will be when the round is stored."""
        self._taken: ProjectionBatch | None = None

    @property
    def confirmed(self) -> int:
        """Offset of the confirmed checkpoint; -1 when there is none."""
        return self._confirmed_fold.offset

    @property
    def confirmed_time_ms(self) -> int:
        """The log's clock at the confirmed checkpoint; 0 when there is none."""
        return self._confirmed_fold.time_ms

    @property
    def backlog(self) -> int:
        """Documents and answers that the store does not have yet."""
        return len(self._gathered) + len(self._round) + (len(self._taken.documents) if self._taken else 0)

    @property
    def in_round(self) -> bool:
        """Whether a round is stored in part: the store's documents are not those of its checkpoint."""
        return bool(self._round) or self._taken is not None

    def start(self, fold: FoldState) -> None:
        """Begins at the store's checkpoint."""
        self._confirmed_fold = fold

    def add(self, write: DocumentWrite) -> None:
        """Notes a durable change."""
        self._gathered[write.key] = write

    def add_block(self, block: Block, offset: int, memory: Memory) -> None:
        """Notes the changes of a block that is durable now, and gives the documents their positions."""
        for key, change in block.changes.items():
            slot = memory.slot(key)
            assert slot is not None, "a changed document is in memory"
            slot.position = Position(offset, change.event_index)
            self.add(DocumentWrite(key, slot.position, change.data, block.time_ms))

    def add_answer(self, answer_id: AnswerId, answer: Answer) -> None:
        """Notes a durable answer."""
        assert answer.position is not None, "only durable answers are stored"
        self.add(DocumentWrite(answer_key(answer_id), answer.position, answer.stored(), answer.time_ms))

    def take(self, fold: FoldState, documents_max: int) -> ProjectionBatch | None:
        """The next batch, or the one that was taken and not confirmed. `fold`: of everything added so far."""
        if self._taken is not None:
            return self._taken
        if not self._round:
            if not self._gathered and fold.offset - self.confirmed < RECORDS_WITHOUT_DOCUMENTS_MAX:
                return None
            self._round, self._gathered = self._gathered, self._round
            self._round_fold = fold
        keys = list(islice(self._round, documents_max))
        documents = [self._round.pop(key) for key in keys]
        reached = self._confirmed_fold if self._round else self._round_fold
        self._taken = ProjectionBatch(documents, Checkpoint(self._journal_id, self._generation, reached))
        return self._taken

    def confirm(self, offset: int) -> None:
        """The batch taken is in the store for good."""
        assert self._taken is not None, "nothing was taken"
        assert offset == self._taken.checkpoint.fold.offset, "another batch was confirmed"
        self._confirmed_fold = self._taken.checkpoint.fold
        self._taken = None
