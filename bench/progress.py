"""What long measurements show while they run: one bar a step on a terminal, one line a step elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Advance(Protocol):
    """Says that some of a step is done."""

    def __call__(self, done: int = 1) -> None: ...


class Bars:
    """Bars on standard error; enter it around all steps."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, what: str) -> None:
        """One line about what was just done."""
        self._console.print(f"bench: {what}", highlight=False)

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Advance]:
        """One step of `total` parts; None: nobody knows how many."""
        if not self._console.is_terminal:
            self._console.print(f"bench: {what}", highlight=False)
        task = self._progress.add_task(what, total=total)

        def advance(done: int = 1) -> None:
            self._progress.advance(task, done)

        yield advance
        self._progress.update(task, total=total or 1, completed=total or 1)
