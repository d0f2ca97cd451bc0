"""The last step of a trace: a frame on its way to one client, from when the gateway has it to when it is written.

What the client does with it is not told, and no client is told of another one's trace.
"""

from __future__ import annotations

from collections import deque

from chapar_sourcing.tracing import Span, Step, StepKind, Tracer

DELIVER = Step(
    "deliver", StepKind.CONSUME, "A frame is written to a client that subscribes, from when the gateway has it.",
    ("outcome",),
)  # fmt: skip
WRITTEN, DROPPED, LEFT = "written", "dropped", "left"
"""How it ends: on the wire; folded into a gap, because the client is slow; the subscription is over."""


class Deliveries:
    """The traced frames of one subscription that wait to be written; as many at most as its outbox holds."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._written = 0
        """Frames written: they are numbered densely, in that order."""
        self._waiting: deque[tuple[int, Span]] = deque()

    def begin(self, frame: int, trace_parent: str) -> None:
        """Takes in a frame by its number; 0 for one that was dropped."""
        span = self._tracer.begin(DELIVER, trace_parent)
        if span is None:
            return
        if frame:
            self._waiting.append((frame, span))
        else:
            span.end(outcome=DROPPED)

    def written(self) -> None:
        """The next frame was written."""
        self._written += 1
        while self._waiting and self._waiting[0][0] <= self._written:
            self._waiting.popleft()[1].end(outcome=WRITTEN)

    def end(self) -> None:
        """Nothing more is written."""
        while self._waiting:
            self._waiting.popleft()[1].end(outcome=LEFT)
