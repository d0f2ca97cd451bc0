"""Deleting from the store what is too old to be asked for: answers of a month, tombstones of a week.

All times are the log's: nothing expires because a machine's clock jumps. The store is walked page by page, one page at
each call, from its first document to its last; then it rests until the log's clock has moved by an hour.
"""

from __future__ import annotations

from chapar_sourcing.domain import Key
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Expiry, Store, Unavailable
from chapar_sourcing.requests import answers_since_ms

DAY_MS = 24 * 3600 * 1000
TOMBSTONE_AGE_MS = 7 * DAY_MS
"""A projector that was stopped for as long may write a deleted document back."""
WALK_EVERY_MS = 3600 * 1000
PAGE_DOCUMENTS = 500


class Purger:
    """One partition's."""

    def __init__(self, *, partition: int, store: Store, keeps_answers: bool, measures: Measures) -> None:
        self._partition = partition
        self._store = store
        self._keeps_answers = keeps_answers
        self._measures = measures
        self._after: Key | None = None
        """Where the walk has come to; None between walks."""
        self._walked_ms = 0
        """The log's clock when the walk began, or the last one."""

    async def step(self, time_ms: int) -> None:
        """Purges a page, if a walk is under way or due. `time_ms` is the log's clock at the confirmed checkpoint. Where
        the store is away the same page is tried at the next call."""
        if self._after is None and time_ms < self._walked_ms + WALK_EVERY_MS:
            return
        expiry = Expiry(answers_since_ms(time_ms, keeps_answers=self._keeps_answers), time_ms - TOMBSTONE_AGE_MS)
        try:
            purged = await self._store.purge(self._partition, expiry, after=self._after, limit=PAGE_DOCUMENTS)
        except Unavailable:
            self._measures.count("purges_failed")
            return
        if self._after is None:
            self._walked_ms = time_ms
        self._after = purged.last
        self._measures.count("documents_purged", purged.documents)
