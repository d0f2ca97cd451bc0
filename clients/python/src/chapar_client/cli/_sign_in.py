"""login, whoami, sessions."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from chapar_client.cli._output import Output, clock
from chapar_client.cli._running import GATEWAY_DEFAULT, Gateway, Json, Profile, asked, run
from chapar_client.sdk import Client, Refused
from chapar_client.terminal import column, isolated

sessions = typer.Typer(help="Your open sessions.", no_args_is_help=False)


def login(
    phone: Annotated[str, typer.Argument(help="Your mobile number, as you write it: 09121234567.")],
    code: Annotated[str, typer.Option(help="The code; asked for when it is not given.")] = "",
    device: Annotated[str, typer.Option(help="What to call this device.")] = "",
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Sign in with a phone number. With `chapar up`, the code appears in its log."""

    async def work(client: Client, output: Output) -> None:
        started = await client.identity.start_sign_in(phone)
        output.note("A code of six digits is on its way.")
        name = device or socket.gethostname()[:64] or "terminal"
        while True:
            given = code or asked("Code", to_errors=json)
            try:
                answer = await client.identity.complete_sign_in(started.challenge_id, given.strip(), name)
                break
            except Refused as refusal:
                if code or refusal.reason != "REASON_CODE_WRONG":
                    raise
                left = refusal.detail.get("tries_left", "")
                output.note(f"That is not the code{f' ({left} tries left)' if left else ''}.")
        welcome = "Welcome" if answer.new_user else "Welcome back"
        output.show(
            f"{welcome}. You are {answer.user_id}.",
            style="green",
            user_id=answer.user_id,
            session_id=answer.session_id,
            new_user=answer.new_user,
        )
        if answer.new_user:
            output.note("Next: chapar whoami --name NAME --username USERNAME")

    run(work, profile=profile, gateway=gateway, as_json=json)


def whoami(
    name: Annotated[str | None, typer.Option(help="Change your name.")] = None,
    username: Annotated[str | None, typer.Option(help="Take a unique @username.")] = None,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Show your profile; with options, change it first."""

    async def work(client: Client, output: Output) -> None:
        if name is not None:
            await client.identity.update_profile(name)
        if username is not None:
            await client.identity.set_username(username)
        mine = await client.identity.get_profile()
        lines = (
            f"name      {isolated(mine.name) if mine.name else '(none yet: --name)'}",
            f"username  {'@' + mine.username if mine.username else '(none yet: --username)'}",
            f"phone     {mine.phone}",
            f"user id   {mine.user_id}",
        )
        output.show(
            "\n".join(lines),
            user_id=mine.user_id,
            name=mine.name,
            username=mine.username,
            phone=mine.phone,
            create_time_ms=mine.create_time_ms,
        )

    run(work, profile=profile, gateway=gateway, as_json=json)


@sessions.callback(invoke_without_command=True)
def list_sessions(
    context: typer.Context, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False
) -> None:
    """List your open sessions, newest first."""
    if context.invoked_subcommand is not None:
        return

    async def work(client: Client, output: Output) -> None:
        async for session in client.identity.sessions():
            mark = "*" if session.current else " "
            seen = clock(session.refresh_time_ms or session.create_time_ms)
            output.show(
                f"{mark} {session.session_id}  {column(session.device, 24)}  {seen}",
                session_id=session.session_id,
                device=session.device,
                create_time_ms=session.create_time_ms,
                refresh_time_ms=session.refresh_time_ms,
                current=session.current,
            )

    run(work, profile=profile, gateway=gateway, as_json=json)


@sessions.command("revoke")
def revoke_session(
    session_id: Annotated[str, typer.Argument(help="From `chapar sessions`.")],
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """End one of your sessions, everywhere within a second."""

    async def work(client: Client, output: Output) -> None:
        await client.identity.revoke_session(session_id)
        output.show("Ended.", session_id=session_id)

    run(work, profile=profile, gateway=gateway, as_json=json)
