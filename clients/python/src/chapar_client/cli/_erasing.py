"""erase, operator erase: the end of an account, which nothing undoes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._money import Person, operator, operator_token
from chapar_client.cli._output import Output
from chapar_client.cli._people import user_of
from chapar_client.cli._reasons import REFUSED
from chapar_client.cli._running import GATEWAY_DEFAULT, OPERATOR_DEFAULT, Gateway, Json, Profile, gateway_ca, run
from chapar_client.home import data_folder
from chapar_client.sdk import Client, OperatorClient

_WHAT_HAPPENS = (
    "What you wrote, your name and your number become unreadable for everybody, your sessions end, your number and"
    " @username are free again. Payments stay in the books. Nothing undoes this."
)
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def erase(
    yes: Yes = False, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False
) -> None:
    """End your account for good: your words are erased everywhere."""

    async def work(client: Client, output: Output) -> None:
        user_id = (await client.session()).user_id
        _ask(yes, json)
        erase_time_ms = await client.identity.erase_account(user_id)
        output.show("Erased; within a minute everywhere.", user_id=user_id, erase_time_ms=erase_time_ms)

    run(work, profile=profile, gateway=gateway, as_json=json)


@operator.command("erase")
def erase_user(
    who: Person,
    reason: Annotated[str, typer.Option(help="Your own reference, 1 to 64 characters; no personal data.")],
    yes: Yes = False,
    request_id: Annotated[str, typer.Option(help="Repeats a call whose outcome is unknown.")] = "",
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    operators: Annotated[
        str, typer.Option("--operators", help="The operators' tls://host:port; on this machine host:port.")
    ] = OPERATOR_DEFAULT,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """End an account for good, with the operator's token of the data folder."""

    async def work(client: Client, output: Output) -> None:
        token = operator_token(data_folder(os.environ, data))
        user_id = await user_of(client, who)
        _ask(yes, json)
        desk = OperatorClient(operators, token, ca=gateway_ca())
        try:
            answer = await desk.erase_user(user_id, reason, request_id=request_id)
        finally:
            await desk.close()
        output.show("Erased; within a minute everywhere.", user_id=user_id, erase_time_ms=answer.erase_time_ms)

    run(work, profile=profile, gateway=gateway, as_json=json)


def _ask(yes: bool, as_json: bool) -> None:
    if not yes:
        typer.echo(_WHAT_HAPPENS, err=as_json)
        if not typer.confirm("Erase this account?", err=as_json):
            typer.echo("Nothing was erased.", err=True)
            raise typer.Exit(REFUSED)
