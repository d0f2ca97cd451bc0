"""pay, wallet, operator cash-in. Amounts are entered and shown in toman; programs get rials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.cli._output import Output, clock
from chapar_client.cli._people import Names, user_of
from chapar_client.cli._running import (
    GATEWAY_DEFAULT,
    OPERATOR_DEFAULT,
    Gateway,
    Json,
    Profile,
    Timeout,
    gateway_ca,
    run,
)
from chapar_client.home import data_folder
from chapar_client.sdk import Client, InvalidInput, OperatorClient
from chapar_client.terminal import column, isolated
from chapar_client.toman import parsed_toman, shown_toman

wallet = typer.Typer(help="Your wallet.", no_args_is_help=False)
operator = typer.Typer(help="For operators of an installation.", no_args_is_help=True)

Person = Annotated[str, typer.Argument(help="@username or user id.")]
Amount = Annotated[str, typer.Argument(help="In toman: 12500, 12,500 or ۱۲٬۵۰۰.")]

_KINDS = {
    payments.LINE_KIND_CASH_IN: "cash-in",
    payments.LINE_KIND_SENT: "sent",
    payments.LINE_KIND_RECEIVED: "received",
}


def pay(
    who: Person,
    amount: Amount,
    memo: Annotated[str, typer.Option(help="A note, at most 128 characters.")] = "",
    timeout: Timeout = 30.0,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Pay somebody from your wallet."""

    async def work(client: Client, output: Output) -> None:
        rials = parsed_toman(amount)
        payee = await user_of(client, who)
        answer = await client.payments.transfer(payee, rials, memo=memo)
        output.show(
            f"Paid {shown_toman(rials)} to {isolated(who)}. Your wallet holds {shown_toman(answer.balance_rials)}.",
            style="green",
            transfer_id=answer.transfer_id,
            payee_user_id=payee,
            amount_rials=rials,
            balance_rials=answer.balance_rials,
            create_time_ms=answer.create_time_ms,
        )

    run(work, profile=profile, gateway=gateway, as_json=json, timeout_s=timeout)


@wallet.callback(invoke_without_command=True)
def balance(
    context: typer.Context, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False
) -> None:
    """Show what your wallet holds."""
    if context.invoked_subcommand is not None:
        return

    async def work(client: Client, output: Output) -> None:
        answer = await client.payments.get_wallet()
        output.show(
            shown_toman(answer.balance_rials), balance_rials=answer.balance_rials, line_sequence=answer.line_sequence
        )

    run(work, profile=profile, gateway=gateway, as_json=json)


@wallet.command()
def statement(
    limit: Annotated[int, typer.Option(min=1, help="How many lines.")] = 20,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Show the lines of your statement, newest first, each with the balance after it."""

    async def work(client: Client, output: Output) -> None:
        names, shown = Names(client), 0
        async for line in client.payments.statement():
            await _show_line(output, names, line)
            shown += 1
            if shown == limit:
                return

    run(work, profile=profile, gateway=gateway, as_json=json)


async def _show_line(output: Output, names: Names, line: payments.StatementLine) -> None:
    kind = _KINDS.get(line.kind, "?")
    other = "" if output.as_json or not line.counterparty_user_id else await names.user(line.counterparty_user_id)
    output.show(
        f"{line.sequence:>4}  {clock(line.create_time_ms)}  {kind:<8}  {column(other, 20)}"
        f"  {shown_toman(line.amount_rials):>20}  {shown_toman(line.balance_rials):>20}  {isolated(line.memo)}",
        sequence=line.sequence,
        kind=kind,
        amount_rials=line.amount_rials,
        balance_rials=line.balance_rials,
        transfer_id=line.transfer_id,
        counterparty_user_id=line.counterparty_user_id,
        create_time_ms=line.create_time_ms,
        memo=line.memo,
    )


@operator.command("cash-in")
def cash_in(
    who: Person,
    amount: Amount,
    reference: Annotated[str, typer.Option(help="Your own reference, 1 to 64 characters.")] = "cash",
    request_id: Annotated[
        str, typer.Option(help="Repeats a cash-in whose outcome is unknown, without doing it twice.")
    ] = "",
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    operators: Annotated[
        str, typer.Option("--operators", help="The operators' tls://host:port; on this machine host:port.")
    ] = OPERATOR_DEFAULT,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Bring money from outside into a wallet, with the operator's token of the data folder."""

    async def work(client: Client, output: Output) -> None:
        rials = parsed_toman(amount)
        token = operator_token(data_folder(os.environ, data))
        user_id = await user_of(client, who)
        desk = OperatorClient(operators, token, ca=gateway_ca())
        try:
            answer = await desk.cash_in(user_id, rials, reference, request_id=request_id)
        finally:
            await desk.close()
        output.show(
            f"Brought {shown_toman(rials)} in. The wallet holds {shown_toman(answer.balance_rials)}.",
            style="green",
            transfer_id=answer.transfer_id,
            user_id=user_id,
            amount_rials=rials,
            balance_rials=answer.balance_rials,
        )

    run(work, profile=profile, gateway=gateway, as_json=json)


def operator_token(data_dir: Path) -> str:
    """The operator's token of an installation on this machine."""
    path = data_dir / "secrets" / "operator.token"
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        raise InvalidInput(f"no operator's token at {path}: give the data folder of `chapar up` with --data") from None
