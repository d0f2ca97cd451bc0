"""Sign-in codes, as the console delivery of development writes them into identity's log."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

from chapar_client.up._child import LogLine


class SignInCodes:
    """Collects codes by phone; each is handed out once."""

    def __init__(self) -> None:
        self._codes: defaultdict[str, deque[str]] = defaultdict(deque)
        self._news = asyncio.Event()

    def line(self, line: LogLine) -> None:
        """Takes a log line; others than codes are ignored."""
        if line.event == "sign_in_code":
            self._codes[str(line.fields["phone"])].append(str(line.fields["code"]))
            self._news.set()

    async def next(self, phone: str, timeout_s: float = 20.0) -> str:
        """The oldest code for a phone that was not handed out yet."""
        async with asyncio.timeout(timeout_s):
            while not self._codes[phone]:
                self._news.clear()
                await self._news.wait()
        return self._codes[phone].popleft()
