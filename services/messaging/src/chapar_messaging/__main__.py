"""The process: the only place where messaging's objects are wired."""

from __future__ import annotations

import os
import sys

from chapar_chassis.process import OwnerService, run_owner_service
from chapar_messaging.api import messaging_api
from chapar_messaging.domain import MessagingDomain
from chapar_messaging.publishing import public_event
from chapar_messaging.reactors.erasures import EraseContents
from chapar_messaging.reactors.fan_out import FanOut
from chapar_messaging.reactors.payment_cards import PaymentCards
from chapar_messaging.settings import MessagingSettings

SERVICE = OwnerService(
    domain=MessagingDomain(),
    api=lambda context: messaging_api(context.sealer, context.user_ids),
    settings=MessagingSettings,
    reactions=lambda context: [FanOut(context.sealer), PaymentCards(), EraseContents()],
    public_event=public_event,
)

if __name__ == "__main__":
    sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))
