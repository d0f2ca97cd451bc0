"""What the engine tells of traces: the steps of a command's way, and the small interface behind which the chassis has
a library for them.

A trace is followed by its parent, the W3C `traceparent` that travels in calls, entries, stream records, advances and
frames. Whether it is recorded was decided where it began, and nothing here decides again: a parent that is empty or
not sampled costs one comparison, and none of what is read again is told: no replay, no rebuild, no catching up with
what is old. Attributes are numbers, names of topics and of reactions; never a user, a key or anything that somebody
has said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from chapar.sourcing.journal.v1 import journal_pb2 as journal

TRACED_MS_MAX = 600_000
"""Who comes later than this to an event, by its block's clock, is catching up: that is told by no trace."""
BLOCKS_MAX = 256
"""Traced blocks that wait for the store; the oldest is not told of beyond that."""

_SAMPLED = "-01"

Value: TypeAlias = int | str


class StepKind(Enum):
    """How a step stands to the one above it."""

    INTERNAL = "internal"
    CALL = "call"
    SERVE = "serve"
    PUBLISH = "publish"
    CONSUME = "consume"


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of step; its spans are called after it."""

    name: str
    kind: StepKind
    meaning: str
    """One sentence, for those who look at it."""
    attributes: Sequence[str] = ()
    """All that a span of it may say beside its times."""


APPEND = Step(
    "append", StepKind.INTERNAL, "The block with the command in it, from sending it to knowing that it is durable.",
    ("partition", "offset", "entries"),
)  # fmt: skip
PROJECT = Step(
    "project", StepKind.INTERNAL, "What the command changed is written to the store, and the checkpoint after it.",
    ("partition", "offset", "documents"),
)  # fmt: skip
PUBLISH = Step(
    "publish", StepKind.PUBLISH, "The relay publishes events of the command to a stream.",
    ("partition", "topic", "records"),
)  # fmt: skip
REACT = Step(
    "react", StepKind.CONSUME, "A reaction to an event, until everything that it sends has arrived.",
    ("partition", "reaction", "sent"),
)  # fmt: skip
ADVANCE = Step(
    "advance", StepKind.CONSUME, "Rows are merged at their owner, durably, and shown to those who watch.",
    ("partition", "rows"),
)  # fmt: skip
STEPS: Mapping[str, Step] = {step.name: step for step in (APPEND, PROJECT, PUBLISH, REACT, ADVANCE)}


class Span(Protocol):
    """One step that has begun."""

    @property
    def trace_parent(self) -> str:
        """For what follows from it."""

    def end(self, *, ended_ns: int | None = None, **attributes: Value) -> None:
        """Ends it, now unless said otherwise. Called once."""


class Tracer(Protocol):
    """Takes in steps. An attribute that a step does not have is a `KeyError`."""

    def begin(self, step: Step, trace_parent: str, *, began_ns: int | None = None, **attributes: Value) -> Span | None:
        """A step below a parent, begun now unless said otherwise; None where that is not recorded."""

    def now_ns(self) -> int:
        """The time that spans are told in: nanoseconds since 1970."""


class _NoTracer:
    def begin(self, step: Step, trace_parent: str, *, began_ns: int | None = None, **attributes: Value) -> Span | None:
        return None

    def now_ns(self) -> int:
        return 0


NO_TRACER: Tracer = _NoTracer()
"""Records nothing."""


def is_sampled(trace_parent: str) -> bool:
    """Whether what a parent stands for is recorded. Parents are made by processes of ours, in one form."""
    return trace_parent.endswith(_SAMPLED)


def is_followed(trace_parent: str, time_ms: int, now_ms: int) -> bool:
    """Whether what comes of an entry of that time is still recorded."""
    return is_sampled(trace_parent) and now_ms - time_ms <= TRACED_MS_MAX


class BlockTraces:
    """The blocks of one partition that have something traced in them, from durable to stored."""

    def __init__(self, partition: int, tracer: Tracer) -> None:
        self._partition = partition
        self._tracer = tracer
        self._waiting: deque[tuple[int, Sequence[str]]] = deque(maxlen=BLOCKS_MAX)
        """(offset, parents) of those that the store lacks."""

    def now_ns(self) -> int:
        """See `Tracer`."""
        return self._tracer.now_ns()

    def applied(self, offset: int, block: journal.Block, began_ns: int, ended_ns: int) -> None:
        """Takes in a block that was appended here, and when that began and ended."""
        parents = [parent for entry in block.entries if is_sampled(parent := entry.trace_parent)]
        if not parents:
            return
        for parent in parents:
            span = self._tracer.begin(APPEND, parent, began_ns=began_ns, partition=self._partition, offset=offset)
            if span is not None:
                span.end(ended_ns=ended_ns, entries=len(block.entries))
        self._waiting.append((offset, parents))

    def projected(self, offset: int, documents: int, began_ns: int) -> None:
        """Takes in that the store has everything up to an offset, and when writing the last part of it began."""
        while self._waiting and self._waiting[0][0] <= offset:
            at, parents = self._waiting.popleft()
            for parent in parents:
                span = self._tracer.begin(PROJECT, parent, began_ns=began_ns, partition=self._partition, offset=at)
                if span is not None:
                    span.end(documents=documents)

    def forget(self) -> None:
        """What waits was undone, or is another's to store."""
        self._waiting.clear()
