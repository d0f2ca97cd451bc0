"""Tells the gateway, cumulatively and in the background, what was taken in."""

from __future__ import annotations

import asyncio
from types import TracebackType

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar_client.sdk._calls import Calls
from chapar_client.sdk._errors import ChaparError

_INTERVAL_S = 0.1
_TIMEOUT_S = 5.0


class Acks:
    """One acknowledgement in flight at a time. A lost one is made good by the next."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._subscription_id = ""
        self._frame = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Acks:
        self._task = asyncio.create_task(self._run(), name="inbox acks")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def begin(self, subscription_id: str) -> None:
        """Names the subscription that frames belong to."""
        self._subscription_id = subscription_id

    def taken(self, frame: int) -> None:
        """Everything up to this frame is taken in."""
        self._frame = max(self._frame, frame)
        if self._subscription_id:
            self._news.set()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            request = gateway.AckRequest(subscription_id=self._subscription_id, frame=self._frame)
            try:
                await self._calls.call(request, gateway.AckResponse, timeout_s=_TIMEOUT_S)
            except ChaparError:
                continue
            await asyncio.sleep(_INTERVAL_S)
