"""Runs payments: the only place where its parts are put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from chapar_chassis.process import OwnerService, ServiceContext, run_owner_service
from chapar_payments.api import build_api
from chapar_payments.domain import PaymentsDomain
from chapar_payments.ledger import Ledger, Touched
from chapar_payments.measures import PAYMENTS
from chapar_payments.published import public_event
from chapar_payments.reactors.erasures import EraseMemos
from chapar_payments.reactors.transits import CarryTransits
from chapar_payments.settings import PaymentsSettings


def build_service() -> OwnerService:
    """Payments as the chassis runs it."""
    touched: Touched = Touched(set)

    def beside(context: ServiceContext, host: Any) -> Callable[[int], Coroutine[Any, Any, None]]:
        ledger = Ledger(touched, context.measures)
        return lambda partition: ledger.keep(partition, host)

    return OwnerService(
        domain=PaymentsDomain(),
        api=build_api,
        settings=PaymentsSettings,
        reactions=lambda context: (CarryTransits(Ledger(touched, context.measures)), EraseMemos()),
        public_event=public_event,
        read_policy="append",
        beside=beside,
        measures=PAYMENTS,
    )


if __name__ == "__main__":
    sys.exit(run_owner_service(build_service(), sys.argv[1:], os.environ))
