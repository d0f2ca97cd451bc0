"""groups: create, list, members, add, remove, role, leave."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.cli._output import Output, clock
from chapar_client.cli._people import Names, user_of
from chapar_client.cli._running import GATEWAY_DEFAULT, Gateway, Json, Profile, run
from chapar_client.sdk import Client, InvalidInput
from chapar_client.terminal import column, isolated

groups = typer.Typer(help="Groups: make them, and say who is in them.", no_args_is_help=True)

Group = Annotated[str, typer.Argument(help="The group's conversation id.")]
Person = Annotated[str, typer.Argument(help="@username or user id.")]

_ROLES = {"member": messaging.ROLE_MEMBER, "admin": messaging.ROLE_ADMIN, "owner": messaging.ROLE_OWNER}
_ROLE_NAMES = {role: name for name, role in _ROLES.items()}


@groups.command()
def create(
    title: Annotated[str, typer.Argument(help="The group's title.")],
    members: Annotated[list[str] | None, typer.Argument(help="@usernames or user ids.")] = None,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Make a group; you are its owner."""

    async def work(client: Client, output: Output) -> None:
        people = [await user_of(client, one) for one in members or ()]
        conversation_id = await client.messaging.create_group(title, people)
        output.show(f"Made {isolated(title)}: {conversation_id}", conversation_id=conversation_id)

    run(work, profile=profile, gateway=gateway, as_json=json)


@groups.command("list")
def list_groups(profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False) -> None:
    """List the groups you are in."""

    async def work(client: Client, output: Output) -> None:
        async for row in client.messaging.inbox_rows():
            if not row.conversation_id.startswith("g."):
                continue
            group = await client.messaging.get_conversation(row.conversation_id)
            role = _ROLE_NAMES.get(group.role, "?")
            output.show(
                f"{column(group.title, 24)}  {group.member_count:>4} members  {role:<6}  {group.conversation_id}",
                conversation_id=group.conversation_id,
                title=group.title,
                member_count=group.member_count,
                role=role,
                unread_count=row.unread_count,
            )

    run(work, profile=profile, gateway=gateway, as_json=json)


@groups.command("members")
def list_members(
    group: Group, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False
) -> None:
    """List the members of a group."""

    async def work(client: Client, output: Output) -> None:
        names = Names(client)
        async for member in client.messaging.members(group):
            role = _ROLE_NAMES.get(member.role, "?")
            label = "" if output.as_json else column(await names.user(member.user_id), 24)
            output.show(
                f"{label}  {role:<6}  since {clock(member.join_time_ms)}  {member.user_id}",
                user_id=member.user_id,
                role=role,
                join_time_ms=member.join_time_ms,
            )

    run(work, profile=profile, gateway=gateway, as_json=json)


@groups.command()
def add(
    group: Group, who: Person, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False
) -> None:
    """Add somebody."""

    async def work(client: Client, output: Output) -> None:
        user_id = await user_of(client, who)
        await client.messaging.add_member(group, user_id)
        output.show("Added.", conversation_id=group, user_id=user_id)

    run(work, profile=profile, gateway=gateway, as_json=json)


@groups.command()
def remove(
    group: Group, who: Person, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False
) -> None:
    """Remove somebody of lower role than yours."""

    async def work(client: Client, output: Output) -> None:
        user_id = await user_of(client, who)
        await client.messaging.remove_member(group, user_id)
        output.show("Removed.", conversation_id=group, user_id=user_id)

    run(work, profile=profile, gateway=gateway, as_json=json)


@groups.command("role")
def set_role(
    group: Group,
    who: Person,
    role: Annotated[str, typer.Argument(help="member, admin or owner.")],
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Give somebody a role. Giving ownership makes you an admin."""

    async def work(client: Client, output: Output) -> None:
        if role not in _ROLES:
            raise InvalidInput("the roles are member, admin and owner")
        user_id = await user_of(client, who)
        await client.messaging.set_member_role(group, user_id, _ROLES[role])
        output.show(f"Now {role}.", conversation_id=group, user_id=user_id, role=role)

    run(work, profile=profile, gateway=gateway, as_json=json)


@groups.command()
def leave(group: Group, profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False) -> None:
    """Leave a group."""

    async def work(client: Client, output: Output) -> None:
        await client.messaging.leave_group(group)
        output.show("Left.", conversation_id=group)

    run(work, profile=profile, gateway=gateway, as_json=json)
