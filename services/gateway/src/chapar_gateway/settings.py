"""What a gateway is told by its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from chapar_chassis.settings import (
    ANY_LOOPBACK_PORT,
    Address,
    CommonSettings,
    Variable,
    address,
    is_loopback,
    path,
    whole_number,
)


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(CommonSettings):
    """A gateway's settings."""

    operator_listen: Annotated[Address, Variable("CHAPAR_OPERATOR_LISTEN", address)] = ANY_LOOPBACK_PORT
    """Where operators call; never the address that clients reach."""
    public_tls_cert: Annotated[Path | None, Variable("CHAPAR_PUBLIC_TLS_CERT", path)] = None
    """A PEM file of the certificate that clients and operators see; with its key."""
    public_tls_key: Annotated[Path | None, Variable("CHAPAR_PUBLIC_TLS_KEY", path)] = None
    calls_max: Annotated[int, Variable("CHAPAR_CALLS_MAX", whole_number(10, 100_000))] = 1_000
    """Calls in flight at once."""
    trace_per_mille: Annotated[int, Variable("CHAPAR_TRACE_PER_MILLE", whole_number(0, 1_000))] = 10
    """Of 1,000 calls so many are traced, through all services; none where `otlp` is not set."""
    subscriptions_max: Annotated[int, Variable("CHAPAR_SUBSCRIPTIONS_MAX", whole_number(1, 1_000_000))] = 10_000
    """Subscriptions open at once."""
    connections_max: Annotated[int, Variable("CHAPAR_CONNECTIONS_MAX", whole_number(1, 1_000_000))] = 20_000
    """Connections a listener takes at once, as far as the process may open files."""
    handshake_ms: Annotated[int, Variable("CHAPAR_HANDSHAKE_MS", whole_number(100, 120_000))] = 10_000
    """A connection that has not begun to speak HTTP/2 by then is closed."""
    connection_idle_ms: Annotated[int, Variable("CHAPAR_CONNECTION_IDLE_MS", whole_number(100, 86_400_000))] = 300_000
    """A connection without calls for so long is closed; clients come back without noticing."""
    bodies_max: Annotated[int, Variable("CHAPAR_BODIES_MAX", whole_number(1, 100_000))] = 1_000
    """Requests a listener waits for at once, each of up to 256 KiB."""
    body_ms: Annotated[int, Variable("CHAPAR_BODY_MS", whole_number(100, 120_000))] = 10_000
    """A request must be here so long after its call has begun."""
    drain_window_ms: Annotated[int, Variable("CHAPAR_DRAIN_WINDOW_MS", whole_number(0, 600_000))] = 5_000
    """Clients spread their reconnects over this after a drain."""
    drain_grace_ms: Annotated[int, Variable("CHAPAR_DRAIN_GRACE_MS", whole_number(0, 60_000))] = 5_000
    """How long calls in flight may still take when the process ends."""

    def listening_problems(self) -> list[str]:
        """Also refuses one address for both listeners."""
        found = []
        if self.listen == self.operator_listen and self.listen.port != 0:
            found.append("CHAPAR_OPERATOR_LISTEN must differ from CHAPAR_LISTEN")
        if (self.public_tls_cert is None) != (self.public_tls_key is None):
            found.append("CHAPAR_PUBLIC_TLS_CERT and CHAPAR_PUBLIC_TLS_KEY must be set together")
        beyond = not is_loopback(self.listen.host) or not is_loopback(self.operator_listen.host)
        if self.public_tls_cert is None and beyond and not self.development:
            found.append(
                "CHAPAR_PUBLIC_TLS_CERT must be set to listen beyond this machine: nothing is sent in the clear"
            )
        return found
