"""A cut through all logs at which nothing has happened without its cause, found while traffic goes on.

Copies of logs that are taken one after the other can hold an effect whose cause was written to another log after that
one was copied. A reactor's command names, as its actor, the partition that caused it, and carries the time of the
causing block in its request id. So every copy tells up to which time others must be copied, too; as a cause is durable
before its effect, it is there to be copied, and going on until nobody wants more comes to an end.
"""

from __future__ import annotations

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import FoldState, Verdict, fold
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.requests import request_time_ms


class Causes:
    """Up to which time each partition, of whichever service, must be copied: what was copied says so."""

    def __init__(self) -> None:
        self.latest_ms: dict[int, int] = {}
        """Partition -> time of the latest block that caused anything that was seen, milliseconds since 1970."""

    def see(self, record: JournalRecord) -> None:
        """Takes in a record of any log; it was folded already. Void blocks count, too: they ask for no harm."""
        for entry in journal.Record.FromString(record.data).block.entries:
            if entry.actor.WhichOneof("kind") == "service":
                partition = int(entry.actor.service.rpartition("/")[2])
                known = self.latest_ms.get(partition, 0)
                self.latest_ms[partition] = max(known, request_time_ms(entry.request_id))


class UpTo:
    """Wants the records of a log up to the last block that counts and is not later than a time, and below an end.

    Times of blocks that count never go back; a void one may bear any time and says nothing.
    """

    def __init__(self, before: FoldState, time_ms: int, end_offset: int) -> None:
        self._state = before
        self._time_ms = time_ms
        self._end_offset = end_offset

    def __call__(self, record: JournalRecord) -> bool:
        """Raises `LogDamaged`."""
        if record.offset >= self._end_offset:
            return False
        state, verdict, parsed = fold(self._state, record.offset, record.data)
        if verdict is Verdict.BLOCK and parsed.block.time_ms > self._time_ms:
            return False
        self._state = state
        return True
