"""capacity: what an installation of a size would take, from what was measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from chapar_client.capacity import Given, Load, Plan, page, plan, units
from chapar_client.capacity._page import shown
from chapar_client.cli._output import Output
from chapar_client.cli._running import Json, run_plain

Unmeasured = Annotated[float | None, typer.Option(help="Not measured by us: left out unless it is given.")]


def capacity(
    users: Annotated[float, typer.Option(help="Accounts, such as 40e6.")] = 40e6,
    sessions_share: Annotated[float, typer.Option(help="Share of them that is there at once.")] = 0.25,
    messages_a_day: Annotated[float, typer.Option(help="Messages a user and day.")] = 50.0,
    messages_peak: Annotated[float, typer.Option(help="The busiest second, in mean seconds.")] = 4.35,
    payments_a_day: Annotated[float, typer.Option(help="Payments a user and day.")] = 1.125,
    payments_peak: Annotated[float, typer.Option(help="The busiest second, in mean seconds.")] = 10.0,
    days: Annotated[float, typer.Option(help="Days that are kept; journals and stores keep everything.")] = 365.0,
    copies: Annotated[int, typer.Option(help="Copies of journals and of stores.")] = 3,
    broker_cores: Annotated[float, typer.Option(help="Cores of a broker's machine.")] = 8.0,
    broker_disk_tb: Annotated[float, typer.Option(help="Disk of a broker's machine, TB.")] = 8.0,
    deliveries: Annotated[float, typer.Option(help="Deliveries a message, 2 or more.")] = 2.0,
    resume_s: Annotated[float, typer.Option("--resume-s", help="Seconds within which all sessions come back.")] = 600.0,
    database_ms: Unmeasured = None,
    delivery_ms: Unmeasured = None,
    tls_ms: Unmeasured = None,
    resume_ms: Unmeasured = None,
    presence_ms: Unmeasured = None,
    session_kb: Unmeasured = None,
    hot_documents: Unmeasured = None,
    as_page: Annotated[bool, typer.Option("--page", help="Print it as docs/capacity.md.")] = False,
    json: Json = False,
) -> None:
    """Reckon cores, memory, disk and brokers from measured unit costs, as ranges.

    What nobody has measured is left out and named. The defaults of what people do are those of 40 million accounts.
    """

    async def work(output: Output) -> None:
        load = Load(
            users=users, sessions_share=sessions_share, messages_a_day=messages_a_day, messages_peak=messages_peak,
            payments_a_day=payments_a_day, payments_peak=payments_peak, days=days, copies=copies,
        )  # fmt: skip
        given = Given(
            database_ms=database_ms, delivery_ms=delivery_ms, deliveries=deliveries, tls_ms=tls_ms,
            resume_ms=resume_ms, resume_s=resume_s, presence_ms=presence_ms, session_kb=session_kb,
            hot_documents=hot_documents, broker_cores=broker_cores,
            broker_disk_tb=broker_disk_tb,
        )  # fmt: skip
        made = plan(load, given, units())
        if as_page:
            print(page(made), end="")
        elif json:
            output.emit(asdict(made))
        else:
            _tell(output, made)

    run_plain(work, as_json=json)


def _tell(output: Output, made: Plan) -> None:
    for item in made.items:
        low, high = (shown(item.part, value) for value in (item.range.low, item.range.high))
        output.show(f"{item.part:<7} {low:>10} to {high:>10}  {item.what}  [{item.rests_on}]")
    for part, total in made.totals.items():
        output.show(f"{part:<7} {shown(part, total.low):>10} to {shown(part, total.high):>10}  in all", style="bold")
    for what, many in (("processes", made.processes), ("brokers", made.brokers)):
        output.show(f"{what}: {many.low:,.0f} to {many.high:,.0f}", style="bold")
    for one in made.missing:
        output.note(f"not counted, nobody has measured it: {one.part} of {one.what}; give {one.option}", style="yellow")
