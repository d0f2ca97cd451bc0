"""A plan on a page."""

from __future__ import annotations

from collections.abc import Iterator

from chapar_client.capacity._measured import units
from chapar_client.capacity._plan import UTILISATION, Plan, Range

_HEAD = """# Capacity

Made by `chapar capacity --page`; not edited by hand. What an installation of a size would take, reckoned from what was
measured on two cores ([benchmarks](benchmarks.md)), and not tried at that size. Ranges go from the least to the most
that was measured: the far end has every message alone, the near one has them among many. What nobody has measured is
left out and named below; `chapar capacity` takes a number for each of these.
"""


def page(plan: Plan) -> str:
    """In Markdown."""
    load = plan.load
    lines = [
        _HEAD,
        "## For",
        "",
        f"{load.users:,.0f} users, {load.sessions:,.0f} sessions at once; {load.messages_s:,.0f} messages and"
        f" {load.payments_s:,.0f} payments",
        f"in the busiest second; {load.days:g} days of journals and stores, {load.copies} copies of each; cores and"
        f" disks at {UTILISATION:.0%}.",
        "",
        "## It takes",
        "",
        "| | from | to |",
        "|---|---:|---:|",
        *_totals(plan),
        "",
        "| part | of that | from | to | rests on |",
        "|---|---|---:|---:|---|",
        *(
            f"| {item.part} | {item.what} | {shown(item.part, item.range.low)} | {shown(item.part, item.range.high)} |"
            f" `{item.rests_on}` |"
            for item in plan.items
        ),
        "",
        "Our own processes use one core each at most: so many of them are needed. Brokers are as many as their cores"
        f" ({plan.given.broker_cores:g}",
        f"each), their disks ({plan.given.broker_disk_tb:g} TB each) or the copies ask for.",
        "",
        "## Left out",
        "",
        "Nobody has measured these; with a number of your own they are counted.",
        "",
        "| part | what | option |",
        "|---|---|---|",
        *(f"| {one.part} | {one.what} | `{one.option}` |" for one in plan.missing),
        "",
        "Acknowledgements of the two sides of a conversation are in the gateways' figure, and cannot be told from it.",
        "",
        "## What was measured",
        "",
        "| figure | from | to | unit | where | what |",
        "|---|---:|---:|---|---|---|",
        *(
            f"| `{unit.name}` | {unit.low:g} | {unit.high:g} | {unit.unit} | {unit.source} | {unit.note} |"
            for unit in units().values()
        ),
    ]
    return "\n".join(lines) + "\n"


def _totals(plan: Plan) -> Iterator[str]:
    partly = {one.part for one in plan.missing}
    for part, total in plan.totals.items():
        name = f"{part}, in part: see what is left out" if part in partly else part
        yield f"| {name} | {shown(part, total.low)} | {shown(part, total.high)} |"
    counted: dict[str, Range] = {"processes": plan.processes, "brokers": plan.brokers}
    for what, range_ in counted.items():
        yield f"| {what} | {range_.low:,.0f} | {range_.high:,.0f} |"


def shown(part: str, value: float) -> str:
    """Cores as a number, bytes as the largest unit that fits."""
    if part == "cores":
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    for size, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} B"
