"""From what people type to ids, and from ids to what people read."""

from __future__ import annotations

import re

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.sdk import Client, InvalidInput, Refused, direct_conversation_id, other_member
from chapar_client.terminal import isolated, isolated_lines
from chapar_client.toman import shown_toman

_USER_ID = re.compile(r"[a-z2-7]{26}")


async def user_of(client: Client, written: str) -> str:
    """The user id behind "@name" or a user id."""
    if written.startswith("@"):
        return await client.identity.resolve_username(written)
    if _USER_ID.fullmatch(written):
        return written
    raise InvalidInput(f"not a person: {written!r} (write @username or a user id)")


async def conversation_of(client: Client, written: str) -> str:
    """The conversation id behind "@name", a user id or a conversation id."""
    if written.startswith(("d.", "g.")):
        return written
    me = (await client.session()).user_id
    return direct_conversation_id(me, await user_of(client, written))


class Names:
    """What users and conversations are called, each asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._users: dict[str, str] = {}
        self._conversations: dict[str, str] = {}

    async def user(self, user_id: str) -> str:
        """A user's name, else their @username, else their id. Not yet safe for a terminal."""
        if user_id not in self._users:
            user = await self._client.identity.get_user(user_id)
            self._users[user_id] = user.name or (f"@{user.username}" if user.username else user_id)
        return self._users[user_id]

    async def conversation(self, conversation_id: str) -> str:
        """A group's title, or the name of the other one. Not yet safe for a terminal."""
        if conversation_id not in self._conversations:
            other = other_member(conversation_id, (await self._client.session()).user_id)
            if other is not None:
                self._conversations[conversation_id] = await self.user(other)
            else:
                self._conversations[conversation_id] = await self._title(conversation_id)
        return self._conversations[conversation_id]

    async def content(self, message: messaging.Message, indent: str) -> str:
        """What a message says, ready for a terminal: what others wrote is isolated, lines after the first indented."""
        match message.WhichOneof("content"):
            case "text":
                return isolated_lines(message.text, indent)
            case "payment_card":
                card = message.payment_card
                payer, payee = await self.user(card.payer_user_id), await self.user(card.payee_user_id)
                return f"{isolated(payer)} paid {isolated(payee)} {shown_toman(card.amount_rials)}"
            case "deleted":
                return "(deleted)"
            case _:
                return "(erased)"

    async def _title(self, conversation_id: str) -> str:
        try:
            return (await self._client.messaging.get_conversation(conversation_id)).title or conversation_id
        except Refused:
            return conversation_id


def message_fields(message: messaging.Message) -> dict[str, object]:
    """A message for programs."""
    fields: dict[str, object] = {
        "conversation_id": message.conversation_id,
        "sequence": message.sequence,
        "sender_user_id": message.sender_user_id,
        "create_time_ms": message.create_time_ms,
    }
    if message.reply_to_sequence:
        fields["reply_to_sequence"] = message.reply_to_sequence
    if message.reply_to_deleted:
        fields["reply_to_deleted"] = True
    match message.WhichOneof("content"):
        case "text":
            fields["text"] = message.text
        case "payment_card":
            card = message.payment_card
            fields["payment_card"] = {
                "transfer_id": card.transfer_id,
                "payer_user_id": card.payer_user_id,
                "payee_user_id": card.payee_user_id,
                "amount_rials": card.amount_rials,
            }
        case "erased":
            fields["erased"] = True
        case "deleted":
            fields["deleted"] = True
    return fields
