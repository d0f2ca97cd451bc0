"""Where the brokers are, and how they and we prove to each other who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

SCRAM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Our name and password at the brokers, over TLS."""

    user: str
    password: str = field(repr=False)
    tls: ssl.SSLContext
    """Whose certificates are believed."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Kafka installation as one process sees it."""

    bootstrap: str
    """ "host:port" of one broker or of several, separated by commas."""
    credentials: Credentials | None = None
    """None: neither is anything encrypted nor anybody known. For brokers of one's own machine."""

    def client_options(self) -> dict[str, Any]:
        """What each client of aiokafka is opened with."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap.split(",")}
        if self.credentials is None:
            return options
        return options | {
            "security_protocol": "SASL_SSL",
            "ssl_context": self.credentials.tls,
            "sasl_mechanism": SCRAM,
            "sasl_plain_username": self.credentials.user,
            "sasl_plain_password": self.credentials.password,
        }
