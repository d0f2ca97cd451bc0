"""One person with one device: a profile folder, a client, and somebody who reads the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.sdk import (
    ChaparError,
    Client,
    Inbox,
    InboxReset,
    InboxUpdate,
    MessageReceived,
    PresenceChanged,
    PresenceInterest,
    StateStore,
    direct_conversation_id,
)

UpdateT = TypeVar("UpdateT")

WAIT_S_MAX = 30.0


class Person:
    """Somebody signed in. All updates of the inbox are kept in the order in which they came."""

    def __init__(self, name: str, folder: Path, address: str, *, timeout_s: float = 30.0) -> None:
        self.name = name
        self.folder = folder
        self.client = Client(address, StateStore(folder), timeout_s=timeout_s)
        self.user_id = ""
        self.updates: list[InboxUpdate] = []
        self.ended: ChaparError | None = None
        """Why reading ended, if it did by itself."""
        self._inbox: Inbox | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Stops reading and leaves."""
        await self.stop_reading()
        await self.client.close()

    async def read_from_now(self) -> None:
        """Starts to read a fresh inbox; from here on every message is shown, also one's own."""
        self.read()
        await self.until(lambda: any(isinstance(update, InboxReset) for update in self.updates), "the inbox")

    def read(self, interests: Sequence[PresenceInterest] = ()) -> None:
        """Starts to read the inbox; on a device that never did, from what is unread."""
        self._inbox = self.client.inbox(interests)
        self._reading = asyncio.create_task(self._read(self._inbox), name=f"{self.name} reads")

    async def stop_reading(self) -> None:
        """Closes the inbox; the next `read` goes on from there."""
        if self._reading is not None and self._inbox is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            await self._inbox.aclose()
            self._reading = self._inbox = None

    async def reading_ended(self) -> None:
        """Waits until reading ends by itself; `ended` says why."""
        while self.ended is None:
            self._news.clear()
            await self._news.wait()

    async def watch(self, *others: Person) -> None:
        """Shows the presence of people one has a direct conversation with."""
        if self._inbox is None:
            raise AssertionError("watching needs reading")
        await self._inbox.set_presence_interests([self.interest_in(other) for other in others])

    def interest_in(self, other: Person) -> PresenceInterest:
        """What asks for the presence of somebody."""
        return PresenceInterest(conversation_id=self.with_(other), user_id=other.user_id)

    def with_(self, other: Person) -> str:
        """The id of the direct conversation with somebody."""
        return direct_conversation_id(self.user_id, other.user_id)

    async def say(self, conversation_id: str, text: str, *, reply_to: int = 0) -> int:
        """Sends a text; answers its number."""
        answer = await self.client.messaging.send_message(conversation_id, text, reply_to_sequence=reply_to)
        return answer.sequence

    async def until(
        self, condition: Callable[[], UpdateT | None], what: str, *, timeout_s: float = WAIT_S_MAX
    ) -> UpdateT:
        """Waits until what was received satisfies a condition; answers what it answers."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := condition()):
                    if self.ended is not None:
                        raise self.ended
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            raise TimeoutError(f"{self.name} waited {timeout_s:.0f} s for {what}") from None

    async def message(self, conversation_id: str, sequence: int, *, timeout_s: float = WAIT_S_MAX) -> messaging.Message:
        """Waits for a message."""

        def found() -> messaging.Message | None:
            received = (message for message in self.messages(conversation_id) if message.sequence == sequence)
            return next(received, None)

        return await self.until(found, f"message {sequence} of {conversation_id}", timeout_s=timeout_s)

    async def presence_of(self, other: Person, *, online: bool, timeout_s: float = WAIT_S_MAX) -> PresenceChanged:
        """Waits until the newest that was shown of somebody is this."""

        def newest() -> PresenceChanged | None:
            for update in reversed(self.updates):
                if isinstance(update, PresenceChanged) and update.user_id == other.user_id:
                    return update if update.online is online else None
            return None

        return await self.until(newest, f"{other.name} online={online}", timeout_s=timeout_s)

    def messages(self, conversation_id: str) -> list[messaging.Message]:
        """What was shown of a conversation, in the order in which it came."""
        received = (update.message for update in self.updates if isinstance(update, MessageReceived))
        return [message for message in received if message.conversation_id == conversation_id]

    async def row(self, conversation_id: str) -> messaging.InboxRow | None:
        """One's inbox row of a conversation, asked for now."""
        async for row in self.client.messaging.inbox_rows():
            if row.conversation_id == conversation_id:
                return row
        return None

    async def unread(self, conversation_id: str) -> int | None:
        """Unread messages of a conversation, asked for now; None when it is not in the inbox."""
        row = await self.row(conversation_id)
        return None if row is None else row.unread_count

    async def _read(self, inbox: Inbox) -> None:
        try:
            async for update in inbox:
                self.updates.append(update)
                self._news.set()
        except ChaparError as error:
            self.ended = error
            self._news.set()
