"""Service levels: what is promised of five ways through the system and of the canary, and the rules that measure it.

A level of calls counts as good each call that a gateway answered in time and without a fault of ours; refusals that
name the caller's mistake are good answers. A call that its client gave up is good if that was before it was late, and
bad afterwards. The level of delivery has no calls to count: it is the share of time, over all processes, in which no
message waited longer to reach an inbox. The canary's is the share of what it tried that was done in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
ERRORS = "slo:chapar_errors:ratio_rate"
"""With a window behind it: the share that was bad, from 0 to 1."""
OBJECTIVE = "slo:chapar_objective:ratio"
LATE = "slo:chapar_delivery_late:ratio"
OURS = "UNAVAILABLE|INTERNAL|UNKNOWN|DATA_LOSS|DEADLINE_EXCEEDED"
"""Statuses that are our fault whatever was asked."""


@dataclass(frozen=True, slots=True)
class Level:
    """One promise."""

    name: str
    objective: float
    """The share that has to be good, over 30 days."""
    promise: str
    seconds: float
    """What is in time: a bound of the histogram's buckets for calls."""
    calls: Sequence[str] = ()
    """The RPCs that count, all without their leading slash; none, nor `counted`: a level of time."""
    bad: str = OURS
    counted: Sequence[str] = ()
    """The counters of what failed and of what was tried, of a level that is counted by itself."""

    @property
    def alert(self) -> str:
        """What its alerts are called."""
        return f"Chapar{self.name.title().replace('-', '')}BudgetBurns"

    def errors(self, window: str) -> str:
        """The share of bad calls, or bad time, over a window, as PromQL."""
        if self.counted:
            failed, tried = (f"sum(rate({counter}[{window}]))" for counter in self.counted)
            return f"{failed} / {tried}"
        if not self.calls:
            return f"avg_over_time({LATE}[{window}])"
        rpcs = "|".join(f"/{rpc}".replace(".", "[.]") for rpc in self.calls)
        of = f'job="chapar-gateway",rpc=~"{rpcs}"'
        good = f'sum(rate(chapar_rpc_seconds_bucket{{{of},code!~"{self.bad}",le="{self.seconds}"}}[{window}]))'
        # Without a single good call there is no series of them.
        return f"1 - ({good} or vector(0)) / sum(rate(chapar_rpc_seconds_count{{{of}}}[{window}]))"


_MESSAGING, _IDENTITY, _PAYMENTS = (
    f"chapar.{name}.v1.{name.title()}Service" for name in ("messaging", "identity", "payments")
)

LEVELS: Sequence[Level] = (
    Level(
        "send", 0.999, "A message that is sent is acknowledged within 0.5 s.", 0.5,
        (f"{_MESSAGING}/SendMessage",), f"{OURS}|RESOURCE_EXHAUSTED",
    ),
    Level(
        "delivery", 0.999, "No message that was acknowledged waits longer than 2 s to be in its readers' inboxes.",
        2.0,
    ),
    Level(
        "sync", 0.999, "Inboxes, conversations and histories are answered within 1 s.", 1.0,
        tuple(f"{_MESSAGING}/{rpc}" for rpc in ("ListInbox", "ListMessages", "GetConversation", "ListMembers")),
        f"{OURS}|RESOURCE_EXHAUSTED",
    ),
    Level(
        "payments", 0.9995, "Transfers, wallets and statements are answered within 1 s.", 1.0,
        tuple(f"{_PAYMENTS}/{rpc}" for rpc in ("Transfer", "GetWallet", "ListStatementLines")),
        f"{OURS}|RESOURCE_EXHAUSTED",
    ),
    # A caller who asks for codes too often is told so by RESOURCE_EXHAUSTED, too: no fault of ours.
    Level(
        "sign-in", 0.999, "Sign-ins and refreshed tokens are answered within 1 s.", 1.0,
        tuple(f"{_IDENTITY}/{rpc}" for rpc in ("StartSignIn", "CompleteSignIn", "RefreshTokens")),
    ),
    Level(
        "canary", 0.999, "A canary's messages and transfers, there and back, take less than 5 s a step.", 5.0,
        counted=("chapar_canary_failures_total", "chapar_canary_attempts_total"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Burning:
    """A pace at which the budget of 30 days burns, seen over a long window and still going on in a short one."""

    factor: float
    long: str
    short: str
    severity: str
    wait: str


BURNS = (
    Burning(14.4, "1h", "5m", "page", "2m"),
    Burning(6, "6h", "30m", "page", "5m"),
    Burning(1, "3d", "6h", "ticket", "30m"),
)

RECORDED: Mapping[str, Sequence[str]] = {
    **{f"{ERRORS}{window}": ("slo",) for window in WINDOWS},
    OBJECTIVE: ("slo",),
    LATE: (),
}
"""Labels of each series that these rules record."""


def groups() -> list[dict[str, Any]]:
    """Rule groups as Prometheus reads them: quick windows often, long ones seldom."""
    quick: list[dict[str, Any]] = [{"record": LATE, "expr": _late()}]
    for level in LEVELS:
        quick.append({"record": OBJECTIVE, "expr": f"vector({level.objective})", "labels": {"slo": level.name}})
    quick += _recorded(WINDOWS[:3])
    return [
        {"name": "chapar-levels", "interval": "15s", "rules": quick},
        {"name": "chapar-levels-long", "interval": "1m", "rules": [*_recorded(WINDOWS[3:])]},
    ]


def _late() -> str:
    (delivery,) = (level for level in LEVELS if not level.calls and not level.counted)
    lag = 'chapar_reactor_lag_seconds{job="chapar-messaging",reactor="reactor/fan_out"}'
    return f"avg({lag} > bool {delivery.seconds})"


def _recorded(windows: Sequence[str]) -> Iterator[dict[str, Any]]:
    for level in LEVELS:
        for window in windows:
            yield {"record": f"{ERRORS}{window}", "expr": level.errors(window), "labels": {"slo": level.name}}
