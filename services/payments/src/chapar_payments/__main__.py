"""Runs payments: the only place where its parts are put together."""

from __future__ import annotations

import os
import sys

from chapar_chassis.process import OwnerService, run_owner_service
from chapar_payments.api import build_api
from chapar_payments.domain import PaymentsDomain
from chapar_payments.published import public_event
from chapar_payments.reactors.erasures import EraseMemos
from chapar_payments.reactors.transits import CarryTransits
from chapar_payments.settings import PaymentsSettings

SERVICE = OwnerService(
    domain=PaymentsDomain(),
    api=build_api,
    settings=PaymentsSettings,
    reactions=lambda _context: (CarryTransits(), EraseMemos()),
    public_event=public_event,
    read_policy="append",
)

if __name__ == "__main__":
    sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))
