"""What a rebuild tells of itself while it runs: the newest progress, and every result."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from chapar_sourcing.rebuild.rebuilding import Phase, Rebuilt

_PROGRESS = frozenset({Phase.DOCUMENTS, Phase.ROWS, Phase.COMPARING})
PROGRESS_SECONDS = 0.2


class Reports:
    """Hands reports from the work to whoever reads; progress that nobody has read is replaced by newer progress."""

    def __init__(self) -> None:
        self._progress: Rebuilt | None = None
        self._results: deque[Rebuilt] = deque()

    def put(self, rebuilt: Rebuilt) -> None:
        """Takes one report; results are at most one a partition."""
        if rebuilt.phase in _PROGRESS:
            self._progress = rebuilt
        else:
            self._results.append(rebuilt)

    async def of(self, work: Coroutine[Any, Any, None]) -> AsyncGenerator[Rebuilt]:
        """Runs the work and yields its reports; raises what it raised. Ends it where nobody reads on."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=PROGRESS_SECONDS)
                for rebuilt in self._waiting():
                    yield rebuilt
            # The work may have ended while the reader was busy with a report.
            for rebuilt in self._waiting():
                yield rebuilt
            await task
        finally:
            task.cancel()
            await asyncio.wait((task,))

    def _waiting(self) -> list[Rebuilt]:
        waiting = [] if self._progress is None else [self._progress]
        waiting += self._results
        self._progress = None
        self._results.clear()
        return waiting
