"""Writes `docs/reference/metrics.md`: every metric of every process, from the catalogues in the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chapar_chassis.telemetry import CHASSIS, PREFIX, PROCESS
from chapar_gateway.measures import GATEWAY
from chapar_payments.measures import PAYMENTS
from chapar_sourcing.measures import ENGINE, Kind, Measure
from tools.watch.known import CANARY

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "metrics.md"
HEAD = """# Metrics

Made from the catalogues in the code by `make verify`; not edited by hand. Each process serves its own at
`http://<CHAPAR_METRICS_LISTEN>/metrics`. Histograms come as `_bucket`, `_sum` and `_count`. Labels hold numbers of
partitions and words of the code, never anything that users have said.
"""
PARTS: Mapping[str, Mapping[str, Measure]] = {
    "Every process": CHASSIS,
    "Owner services: identity, messaging, presence, payments": ENGINE,
    "Payments": PAYMENTS,
    "Gateway": GATEWAY,
    "Canary: `chapar canary`, at `--metrics`": CANARY,
    "Every process, from the system": PROCESS,
}


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for title, measures in PARTS.items():
        lines += [f"## {title}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        prefix = "" if measures is PROCESS else PREFIX
        for measure in measures.values():
            suffix = "_total" if measure.kind is Kind.COUNTER else ""
            labels = ", ".join(f"`{label}`" for label in measure.labels) or "-"
            lines.append(f"| `{prefix}{measure.name}{suffix}` | {measure.kind.value} | {labels} | {measure.meaning} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes the page."""
    TARGET.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
