"""send, delete, tail, history, inbox, presence."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.cli._output import Output, clock
from chapar_client.cli._people import Names, conversation_of, message_fields, user_of
from chapar_client.cli._running import GATEWAY_DEFAULT, Gateway, Json, Profile, Timeout, run
from chapar_client.sdk import (
    Client,
    Connected,
    Disconnected,
    InboxReset,
    MembershipChanged,
    MessageDeleted,
    MessageReceived,
    PresenceChanged,
    PresenceEnded,
    PresenceInterest,
    direct_conversation_id,
)
from chapar_client.terminal import column, isolated

Who = Annotated[str, typer.Argument(help="@username, user id or conversation id.")]
_NAME_COLUMNS = 16


def send(
    who: Who,
    text: Annotated[list[str], typer.Argument(help="The message.")],
    reply: Annotated[int, typer.Option(help="Number of the message to answer.")] = 0,
    timeout: Timeout = 15.0,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Send a message."""

    async def work(client: Client, output: Output) -> None:
        conversation_id = await conversation_of(client, who)
        answer = await client.messaging.send_message(conversation_id, " ".join(text), reply_to_sequence=reply)
        output.show(
            f"Sent, number {answer.sequence}.",
            conversation_id=conversation_id,
            sequence=answer.sequence,
            create_time_ms=answer.create_time_ms,
        )

    run(work, profile=profile, gateway=gateway, as_json=json, timeout_s=timeout)


def delete(
    who: Who,
    number: Annotated[int, typer.Argument(min=1, help="The message's number.")],
    timeout: Timeout = 15.0,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Delete a message for everybody: your own, or any in a group that you look after."""

    async def work(client: Client, output: Output) -> None:
        conversation_id = await conversation_of(client, who)
        await client.messaging.delete_message(conversation_id, number)
        output.show(f"Deleted number {number}.", conversation_id=conversation_id, sequence=number, deleted=True)

    run(work, profile=profile, gateway=gateway, as_json=json, timeout_s=timeout)


async def show_message(output: Output, names: Names, message: messaging.Message, *, where: bool) -> None:
    """One message: time, conversation, sender, number, text."""
    if output.as_json:
        output.emit(message_fields(message))
        return
    place = f"{column(await names.conversation(message.conversation_id), _NAME_COLUMNS)} " if where else ""
    sender = column(await names.user(message.sender_user_id), _NAME_COLUMNS)
    target = f"{message.reply_to_sequence}{', deleted' if message.reply_to_deleted else ''}"
    answer = f"(re {target}) " if message.reply_to_sequence else ""
    head = f"{clock(message.create_time_ms)}  {place}{sender} {message.sequence:>4}  {answer}"
    style = "green" if message.HasField("payment_card") else ""
    output.show(head + await names.content(message, " " * 8), style=style)


def tail(
    who: Annotated[str, typer.Argument(help="Only this conversation: @username, user id or conversation id.")] = "",
    count: Annotated[int, typer.Option(help="End after so many messages; 0 goes on.")] = 0,
    read: Annotated[bool, typer.Option("--read", help="Mark as read what is shown.")] = False,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Show messages as they come, from where the last `tail` of this profile ended."""

    async def work(client: Client, output: Output) -> None:
        only = await conversation_of(client, who) if who else ""
        names, shown = Names(client), 0
        async with client.inbox() as inbox:
            async for update in inbox:
                match update:
                    case MessageReceived(message) if only in ("", message.conversation_id):
                        await show_message(output, names, message, where=not only)
                        if read:
                            await client.messaging.mark_read(message.conversation_id, message.sequence)
                        shown += 1
                        if shown == count:
                            return
                    case MessageDeleted(conversation_id, sequence) if only in ("", conversation_id):
                        place = isolated(await names.conversation(conversation_id))
                        output.show(
                            f"Number {sequence} in {place} was deleted.",
                            style="dim",
                            conversation_id=conversation_id,
                            sequence=sequence,
                            deleted=True,
                        )
                    case InboxReset(rows):
                        output.note(
                            f"conversations: {len(rows)}, unread messages: {sum(row.unread_count for row in rows)}"
                        )
                    case MembershipChanged(conversation_id, member):
                        place = isolated(await names.conversation(conversation_id))
                        output.note(f"You {'are in' if member else 'are no longer in'} {place}")
                    case Connected():
                        output.note("connected")
                    case Disconnected(reason):
                        output.note(f"connection lost ({reason}); trying again")

    run(work, profile=profile, gateway=gateway, as_json=json)


def history(
    who: Who,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    before: Annotated[int, typer.Option(help="Only messages below this number.")] = 0,
    after: Annotated[int | None, typer.Option(help="Upward from above this number; 0 is the beginning.")] = None,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Show earlier messages, the oldest first."""

    async def work(client: Client, output: Output) -> None:
        conversation_id = await conversation_of(client, who)
        names, found = Names(client), []
        descending = after is None
        pages = client.messaging.history(
            conversation_id, from_sequence=before if after is None else after, descending=descending
        )
        async for message in pages:
            found.append(message)
            if len(found) == limit:
                break
        for message in reversed(found) if descending else found:
            await show_message(output, names, message, where=False)

    run(work, profile=profile, gateway=gateway, as_json=json)


def inbox(profile: Profile = "default", gateway: Gateway = GATEWAY_DEFAULT, json: Json = False) -> None:
    """List your conversations, the most recent first."""

    async def work(client: Client, output: Output) -> None:
        names = Names(client)
        rows = [row async for row in client.messaging.inbox_rows()]
        for row in sorted(rows, key=lambda row: row.activity_time_ms, reverse=True):
            label = "" if output.as_json else column(await names.conversation(row.conversation_id), 24)
            unread = f"{row.unread_count:>4} unread" if row.unread_count else " " * 11
            output.show(
                f"{clock(row.activity_time_ms)}  {label}  {unread}  {row.conversation_id}",
                conversation_id=row.conversation_id,
                head_sequence=row.head_sequence,
                read_sequence=row.read_sequence,
                unread_count=row.unread_count,
                activity_time_ms=row.activity_time_ms,
            )

    run(work, profile=profile, gateway=gateway, as_json=json)


def presence(
    who: Annotated[list[str], typer.Argument(help="@usernames or user ids of people you have talked with.")],
    once: Annotated[bool, typer.Option("--once", help="End when each was shown.")] = False,
    profile: Profile = "default",
    gateway: Gateway = GATEWAY_DEFAULT,
    json: Json = False,
) -> None:
    """Show who is online, and who comes and goes."""

    async def work(client: Client, output: Output) -> None:
        me = (await client.session()).user_id
        wanted = [await user_of(client, one) for one in who]
        interests = [PresenceInterest(conversation_id=direct_conversation_id(me, one), user_id=one) for one in wanted]
        names, waiting = Names(client), set(wanted)
        async with client.inbox(interests) as updates:
            async for update in updates:
                match update:
                    case PresenceChanged(user_id, online, last_seen_time_ms):
                        seen = f"last seen {clock(last_seen_time_ms)}" if last_seen_time_ms else "not seen yet"
                        state = "online" if online else seen
                        output.show(
                            f"{column(await names.user(user_id), 24)}  {state}",
                            style="green" if online else "",
                            user_id=user_id,
                            online=online,
                            last_seen_time_ms=last_seen_time_ms,
                        )
                    case PresenceEnded(user_id):
                        label = column(await names.user(user_id), 24)
                        output.show(f"{label}  may not be shown", user_id=user_id, ended=True)
                    case _:
                        continue
                waiting.discard(user_id)
                if once and not waiting:
                    return

    run(work, profile=profile, gateway=gateway, as_json=json)
