"""Settings of payments: those that every service has, and no more."""

from __future__ import annotations

from chapar_chassis.settings import CommonSettings


class PaymentsSettings(CommonSettings):
    """Read from the environment by `__main__`."""
