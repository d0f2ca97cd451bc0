"""The checks that go through time once: what a read must at least show, and at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.e2e.history import BringIn, LookAtRoom, LookAtWallet, Moment, Operation, Outcome, Pay, Send, What


def crashes_after(moments: Sequence[Moment], service: str) -> Mapping[int, float]:
    """For each operation, by `id`, that ended before a service was killed: when that was next. One pass backwards."""
    found: dict[int, float] = {}
    next_s: float | None = None
    for moment in reversed(moments):
        if moment.what is What.CRASHED and moment.service == service:
            next_s = moment.at_s
        elif moment.what is What.ENDED and next_s is not None:
            found[id(moment.operation)] = next_s
    return found


def stale_reads(moments: Sequence[Moment]) -> Iterator[str]:
    """Reads that do not show what was acknowledged, or shown to anybody, before they began."""
    rooms, wallets = _Rooms(), _Wallets()
    for what, operation, _, _ in moments:
        if operation is None:
            continue
        for place in (rooms, wallets):
            if what is What.BEGAN:
                place.began(operation)
            else:
                yield from place.ended(operation)


class _Rooms:
    """The highest message of each room that anybody was told of."""

    def __init__(self) -> None:
        self._known: Counter[str] = Counter()
        self._due: dict[int, int] = {}

    def began(self, operation: Operation) -> None:
        if isinstance(operation, LookAtRoom):
            self._due[id(operation)] = self._known[operation.room]

    def ended(self, operation: Operation) -> Iterator[str]:
        if operation.outcome is not Outcome.OK or not isinstance(operation, Send | LookAtRoom):
            return
        if isinstance(operation, LookAtRoom):
            due = self._due.pop(id(operation))
            if operation.sequence < due:
                yield f"stale read: {operation}, but message {due} was known before it began"
        self._known[operation.room] = max(self._known[operation.room], operation.sequence)


class _Wallets:
    """Bounds of each balance. What is paid leaves at once, what is received may arrive later."""

    def __init__(self) -> None:
        self._paid: Counter[str] = Counter()
        """Acknowledged."""
        self._paying: Counter[str] = Counter()
        """Acknowledged or possible."""
        self._receiving: Counter[str] = Counter()
        self._brought: Counter[str] = Counter()
        self._bringing: Counter[str] = Counter()
        self._before: dict[int, tuple[int, int]] = {}
        """By `id` of a look: what was surely paid and surely brought in before it began."""

    def began(self, operation: Operation) -> None:
        match operation:
            case Pay():
                self._paying[operation.client] += operation.rials
                self._receiving[operation.payee] += operation.rials
            case BringIn():
                self._bringing[operation.client] += operation.rials
            case LookAtWallet():
                self._before[id(operation)] = self._paid[operation.client], self._brought[operation.client]

    def ended(self, operation: Operation) -> Iterator[str]:
        match operation, operation.outcome:
            case Pay(), Outcome.OK:
                self._paid[operation.client] += operation.rials
            case Pay(), Outcome.REFUSED:
                self._paying[operation.client] -= operation.rials
                self._receiving[operation.payee] -= operation.rials
            case BringIn(), Outcome.OK:
                self._brought[operation.client] += operation.rials
            case LookAtWallet(), Outcome.OK:
                yield from self._judge(operation)

    def _judge(self, look: LookAtWallet) -> Iterator[str]:
        paid, brought = self._before.pop(id(look))
        least = brought - self._paying[look.client]
        most = self._bringing[look.client] + self._receiving[look.client] - paid
        if not least <= look.rials <= most:
            yield f"stale read: {look} is outside {least} to {most}"
