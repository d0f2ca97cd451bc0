"""Settings of presence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chapar_chassis.settings import CommonSettings, Variable, whole_number


@dataclass(frozen=True, kw_only=True)
class PresenceSettings(CommonSettings):
    """Read from the environment by `__main__`."""

    grace_ms: Annotated[int, Variable("CHAPAR_GRACE_MS", whole_number(0, 600_000))] = 10_000
    """How long a user stays online after the last lease."""
