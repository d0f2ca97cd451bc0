"""One of a canary's two accounts: its calls, and whoever reads its inbox."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.sdk import Client, MessageReceived

_HEARD_MAX = 1_000
"""Messages that are remembered: more than a canary makes in the time that it waits for one."""


class Account:
    """Somebody signed in. Use `open` before anything else."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.user_id = ""
        self._heard: deque[messaging.Message] = deque(maxlen=_HEARD_MAX)
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Learns who it is. Raises `NotSignedIn`."""
        self.user_id = (await self.client.session()).user_id

    async def read(self) -> None:
        """Reads the inbox until cancelled. Raises `SignedOut` and what else ends a subscription for good."""
        async with self.client.inbox() as inbox:
            async for update in inbox:
                if isinstance(update, MessageReceived):
                    self._heard.append(update.message)
                    self._news.set()

    async def hears(self, wanted: Callable[[messaging.Message], bool], within_s: float) -> None:
        """Waits for a message, which may have come already. Raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            while not any(map(wanted, self._heard)):
                self._news.clear()
                await self._news.wait()
