"""Reading the log: one read at a time, asked for again on a tick where it failed or came too early.

What belongs here: which read is under way, and whether the log is the one that the checkpoint is of. What does not:
what the records mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chapar_sourcing.fold import FoldState, LogDamaged
from chapar_sourcing.owner.messages import Effect, Read, ReadFailed, RecordsRead
from chapar_sourcing.ports.journal import JournalRecord


class Reading:
    """The owner's reads."""

    def __init__(self, say: Callable[[Effect], None], new_id: Callable[[], int]) -> None:
        self._say = say
        self._new_id = new_id
        self._asked: Read | None = None
        self._again = False
        self._proving = False
        """The log has yet to show the last valid record that was folded: reading begins with it."""

    def prove(self, fold: FoldState) -> None:
        """The next read has to show that the log still holds what was folded: it may have been cut and have grown."""
        self._proving = fold.valid_offset >= 0

    def ask(self, fold: FoldState, up_to: int | None, *, later: bool = False) -> None:
        """Reads on: now, or on the next tick when the end was reached and what is wanted was not there yet."""
        assert self._asked is None, "one read at a time"
        from_offset = fold.valid_offset if self._proving else fold.offset + 1
        self._asked = Read(self._new_id(), from_offset, up_to)
        if later:
            self._again = True
        else:
            self._say(self._asked)

    def tick(self) -> None:
        """Asks again for what failed or was put off."""
        if self._again and self._asked is not None:
            self._again = False
            self._say(self._asked)

    def failed(self, given: ReadFailed) -> None:
        """Notes to ask again. Raises `LogDamaged` where the log ends too early."""
        if self._asked is None or self._asked.read_id != given.read_id:
            return
        if given.out_of_range:
            raise LogDamaged(f"the log ends before offset {self._asked.from_offset}: it was cut, or the store is newer")
        self._again = True

    def answered(self, given: RecordsRead, fold: FoldState) -> Sequence[JournalRecord] | None:
        """The records to fold; None when nobody waits for them. Raises `LogDamaged` where the log is another one."""
        if self._asked is None or self._asked.read_id != given.read_id:
            return None
        self._asked = None
        if not self._proving:
            return given.records
        self._proving = False
        if not given.records or not fold.ends_with(given.records[0].offset, given.records[0].data):
            raise LogDamaged(f"the log does not hold what was folded up to offset {fold.valid_offset}: it was cut")
        return [record for record in given.records if record.offset > fold.offset]
