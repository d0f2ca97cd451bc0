"""What identity reads from the environment, beside what all services do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import phonenumbers

from chapar_chassis.settings import CommonSettings, Variable, is_loopback, one_of

CONSOLE = "console"
WEBHOOK = "webhook"


def regions(value: str) -> frozenset[str]:
    """Comma-separated region codes such as "IR,DE"."""
    codes = frozenset(code.strip() for code in value.split(",") if code.strip())
    if not codes <= phonenumbers.SUPPORTED_REGIONS:
        raise ValueError('region codes such as "IR,DE"')
    return codes


def web_address(value: str) -> str:
    """An http or https address without credentials."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("an http or https address without credentials")
    return value


@dataclass(frozen=True, kw_only=True)
class IdentitySettings(CommonSettings):
    """Identity's settings."""

    code_delivery: Annotated[str, Variable("CHAPAR_CODE_DELIVERY", one_of(CONSOLE, WEBHOOK))] = CONSOLE
    """Console shows codes in the log: for this machine and development only."""
    code_webhook_url: Annotated[str, Variable("CHAPAR_CODE_WEBHOOK_URL", web_address)] = ""
    """Where codes are posted."""
    phone_regions: Annotated[frozenset[str], Variable("CHAPAR_PHONE_REGIONS", regions)] = frozenset()
    """Regions whose phones may sign in; empty means all."""

    def problems(self) -> list[str]:
        """A webhook needs an address; whoever has a code is signed in, so that none leaves in the clear."""
        found = super().problems()
        if self.code_delivery == WEBHOOK and not self.code_webhook_url:
            found.append("CHAPAR_CODE_WEBHOOK_URL must be set when CHAPAR_CODE_DELIVERY is webhook")
        exposed = not self.development and not is_loopback(self.listen.host)
        if exposed and self.code_delivery == CONSOLE:
            found.append(
                "CHAPAR_CODE_DELIVERY must be webhook for others than this machine's: console shows codes in the log"
            )
        webhook = urlsplit(self.code_webhook_url)
        if not self.development and webhook.scheme == "http" and not is_loopback(webhook.hostname or ""):
            found.append("CHAPAR_CODE_WEBHOOK_URL must be https beyond this machine: nothing is sent in the clear")
        return found
