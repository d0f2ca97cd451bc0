"""What payments measures beside what every owner does: the books, as far as numbers can tell of them."""

from __future__ import annotations

from chapar_sourcing.measures import Kind, Measure, catalogue

PAYMENTS = catalogue(
    Measure(
        "ledger_violations", Kind.COUNTER, "Events in the log that break a rule of the books: none ever should.",
        ("rule",),
    ),
    Measure(
        "ledger_looks_failed", Kind.COUNTER,
        "Events and documents that these measures could not be taken of; money went on its way.",
    ),
    Measure(
        "ledger_sent_rials", Kind.GAUGE,
        "All that ever left a partition for others; where processes differ, the largest is the newest.", ("partition",),
    ),
    Measure(
        "ledger_applied_rials", Kind.GAUGE,
        "All that ever arrived in a partition from others; where processes differ, the largest is the newest.",
        ("partition",),
    ),
)  # fmt: skip
