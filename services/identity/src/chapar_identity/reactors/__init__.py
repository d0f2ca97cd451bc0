"""What identity does about its own events.

`codes` delivers codes, `accounts` carries sign-ins to the user's partition, `usernames` carries reservations back and
forth, `phones` gives the phones of erased users back. Each has cursors of its own, so that a slow delivery holds
nobody's sign-in up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from chapar_chassis.process import ServiceContext
from chapar_identity.delivery import CodeDelivery, ConsoleDelivery, WebhookDelivery
from chapar_identity.reactors.accounts import CarrySignIns
from chapar_identity.reactors.codes import DeliverCodes
from chapar_identity.reactors.phones import ReleasePhones
from chapar_identity.reactors.usernames import CarryReservations
from chapar_identity.settings import CONSOLE, IdentitySettings
from chapar_sourcing.reactions import Reaction


def identity_reactions(context: ServiceContext) -> Sequence[Reaction]:
    """All reactions of the service."""
    codes = DeliverCodes(sealer=context.sealer, delivery=_delivery(context), now_ms=context.now_ms, log=context.log)
    return [codes, CarrySignIns(), CarryReservations(), ReleasePhones()]


def _delivery(context: ServiceContext) -> CodeDelivery:
    settings: IdentitySettings = context.settings
    if settings.code_delivery == CONSOLE:
        return ConsoleDelivery(context.log)
    return WebhookDelivery(settings.code_webhook_url, client=httpx.AsyncClient(), pause=asyncio.sleep)
