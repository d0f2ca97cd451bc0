"""What a canary tries: a message and a transfer, there and back, each step within a bound.

Messages and money are tried side by side, so that one does not hide how the other is. A step that fails ends its part
of the round. Nothing new is tried where a command has no outcome yet: it is sent again, under its own id, until it has
one. The richer of the two pays first: where a round ended half-way, the next ones even it out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.canary._account import Account
from chapar_client.canary._measures import CanaryMeasures
from chapar_client.sdk import ChaparError, NotSignedIn, Refused, SignedOut, direct_conversation_id

T = TypeVar("T")
Told: TypeAlias = Callable[[str, Exception], None]
"""(stage, why): what is told of a step that failed."""

_MONEY = "/chapar.payments."


class _StepFailed(Exception):
    """The part of a round that it belongs to is over; counted and told already."""


class Rounds:
    """Two accounts that are open and read their inboxes."""

    def __init__(
        self, accounts: tuple[Account, Account], measures: CanaryMeasures, tell: Told, *, within_s: float, rials: int
    ) -> None:
        """`within_s` is the bound of a step in seconds, `rials` what is paid there and back; both above 0."""
        self._one, self._other = accounts
        self._measures = measures
        self._tell = tell
        self._within_s = within_s
        self._rials = rials
        self._most_rials = 0
        """The most that both wallets held together, as far as this process has seen."""
        self._sent = 0
        self.failures = 0
        """Steps that failed in this process."""

    async def play(self) -> None:
        """One round. Raises `SignedOut` and `NotSignedIn`: nothing can be tried until somebody signs in."""
        parts = await asyncio.gather(self._talk(), self._pay(), return_exceptions=True)
        self._measures.unsettled(sum([len(await one.client.pending()) for one in (self._one, self._other)]))
        for failure in parts:
            if isinstance(failure, BaseException) and not isinstance(failure, _StepFailed):
                raise failure

    async def _talk(self) -> None:
        await self._settle(lambda path: not path.startswith(_MONEY))
        room = direct_conversation_id(self._one.user_id, self._other.user_id)
        for writer, reader in ((self._one, self._other), (self._other, self._one)):
            self._sent += 1
            sending = writer.client.messaging.send_message(room, f"چاپار {self._sent}", timeout_s=self._within_s)
            sequence = (await self._step("send", sending)).sequence
            await self._step("delivery", reader.hears(_numbered(room, sequence), self._within_s))

    async def _pay(self) -> None:
        await self._settle(lambda path: path.startswith(_MONEY))
        payer, payee = await self._step("wallet", self._richer_first())
        for giver, taker in ((payer, payee), (payee, payer)):
            paying = giver.client.payments.transfer(taker.user_id, self._rials, timeout_s=self._within_s)
            transfer_id = (await self._step("transfer", paying)).transfer_id
            await self._step("arrival", taker.hears(_carded(transfer_id), self._within_s))

    async def _settle(self, mine: Callable[[str], bool]) -> None:
        """Has every command without an outcome get one; a refusal is one."""
        for account in (self._one, self._other):
            for pending in await account.client.pending():
                if mine(pending.path):
                    finishing = account.client.finish_pending(pending, timeout_s=self._within_s)
                    await self._step("settle", _settled(finishing))

    async def _richer_first(self) -> tuple[Account, Account]:
        async with asyncio.timeout(self._within_s):
            one, other = [
                (await account.client.payments.get_wallet()).balance_rials for account in (self._one, self._other)
            ]
        self._most_rials = max(self._most_rials, one + other)
        self._measures.missing(self._most_rials - one - other)
        return (self._one, self._other) if one >= other else (self._other, self._one)

    async def _step(self, stage: str, work: Awaitable[T]) -> T:
        self._measures.tried(stage)
        began = time.monotonic()
        try:
            done = await work
        except (ChaparError, TimeoutError) as error:
            self.failures += 1
            self._measures.failed(stage)
            self._tell(stage, error)
            if isinstance(error, SignedOut | NotSignedIn):
                raise
            raise _StepFailed from error
        self._measures.took(stage, time.monotonic() - began)
        return done


def _numbered(room: str, sequence: int) -> Callable[[messaging.Message], bool]:
    return lambda message: message.conversation_id == room and message.sequence == sequence


def _carded(transfer_id: str) -> Callable[[messaging.Message], bool]:
    return lambda message: message.payment_card.transfer_id == transfer_id


async def _settled(finishing: Awaitable[object]) -> None:
    """A refusal says that nothing was changed, which settles it as well as an answer."""
    try:
        await finishing
    except SignedOut:
        raise
    except Refused:
        return
