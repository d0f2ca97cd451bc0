"""Settings of messaging: so far what every service reads."""

from __future__ import annotations

from dataclasses import dataclass

from chapar_chassis.settings import CommonSettings


@dataclass(frozen=True, kw_only=True)
class MessagingSettings(CommonSettings):
    """Nothing of its own yet."""
