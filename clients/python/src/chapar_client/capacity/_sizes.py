"""What is reckoned for: what people do, and what operators give of their own. Bad input is refused with the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from chapar_client.sdk import InvalidInput

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What people do. The defaults are those of the design, a user of 40 million."""

    users: float = 40e6
    sessions_share: float = 0.25
    """Of the users, at once."""
    messages_a_day: float = 50.0
    """Of each user."""
    messages_peak: float = 4.35
    """The busiest second, in mean seconds."""
    payments_a_day: float = 1.125
    payments_peak: float = 10.0
    days: float = 365.0
    """Of journals and stores, which keep everything."""
    copies: int = 3
    """Of journals, and of stores."""

    def __post_init__(self) -> None:
        _refuse(self)
        if self.sessions_share > 1:
            raise InvalidInput("sessions_share must be at most 1: of all users, so many are there at once")
        if min(self.messages_peak, self.payments_peak) < 1:
            raise InvalidInput("a peak must be at least 1: the busiest second is no quieter than the mean")
        if not 1 <= self.copies <= 9:
            raise InvalidInput("copies must be 1 to 9")

    @property
    def messages_s(self) -> float:
        """In the busiest second."""
        return self.users * self.messages_a_day / DAY_S * self.messages_peak

    @property
    def payments_s(self) -> float:
        """In the busiest second."""
        return self.users * self.payments_a_day / DAY_S * self.payments_peak

    @property
    def sessions(self) -> float:
        """At once."""
        return self.users * self.sessions_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What nobody has measured for this page and the operator may know; None: it is left out, and said so."""

    database_ms: float | None = None
    """CPU of the database a message."""
    delivery_ms: float | None = None
    """CPU of gateways for each delivery with its acknowledgement, beyond the two of a conversation of two."""
    deliveries: float = 2.0
    """Of each message, the writer's own devices included."""
    tls_ms: float | None = None
    """CPU that TLS adds to gateways, a message."""
    resume_ms: float | None = None
    """CPU of everything for one session that comes back."""
    resume_s: float = 600.0
    """Within which all sessions come back after the worst."""
    presence_ms: float | None = None
    """CPU a session and minute for being seen online."""
    session_kb: float | None = None
    """Memory of a gateway for each open session."""
    hot_documents: float | None = None
    """Documents that owners remember for each session."""
    broker_cores: float = 8.0
    broker_disk_tb: float = 8.0
    """Of a broker's machine."""

    def __post_init__(self) -> None:
        _refuse(self)
        if self.deliveries < 2:
            raise InvalidInput("deliveries must be at least 2: both sides of a conversation")


def _refuse(what: Load | Given) -> None:
    """Raises `InvalidInput` with the first number that is none to reckon with."""
    for problem in _problems(what):
        raise InvalidInput(problem)


def _problems(what: Load | Given) -> Iterator[str]:
    for field in fields(what):
        value = getattr(what, field.name)
        if value is not None and not (math.isfinite(value) and value > 0):
            yield f"{field.name} must be a number above 0, not {value:g}"
