"""Alerts: one table, from which the rules are made and by which runbooks and cases are checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tools.watch.known import JOBS
from tools.watch.levels import BURNS, ERRORS, LEVELS, Burning, Level

PAGE, TICKET = "page", "ticket"
"""Somebody is woken; somebody looks at it on a working day."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert."""

    name: str
    query: str
    wait: str
    """How long it has to be so; "0s" where once is enough."""
    severity: str
    summary: str
    """One sentence; `{{ $labels.job }}` and the like are filled in by Prometheus."""

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return _rule(self.name, self.query, self.wait, {"severity": self.severity}, self.summary)


def happened(counter: str, by: str, within: str = "1h") -> str:
    """Whether a counter has grown, as PromQL. One that has labels appears with its first count: `increase` alone would
    miss that one, whatever other processes counted before."""
    new = f"sum by ({by}) ({counter} unless {counter} offset {within})"
    return f"sum by ({by}) (increase({counter}[{within}])) > 0 or {new} > 0"


def _quantile(share: float, histogram: str, by: str = "job, instance") -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({histogram}_bucket[5m])))"


_IT = "{{ $labels.instance }} of {{ $labels.job }}"
_OWNED = "sum by (job) (chapar_partitions_owned)"

# Totals only grow: the largest of the last day stands in for a partition that nobody has at the moment. What has
# arrived is looked at as it was a while ago, so that all of it has been told to have left.
_SENT = "sum(max by (partition) (max_over_time(chapar_ledger_sent_rials[1d])))"
_APPLIED = "sum(max by (partition) (chapar_ledger_applied_rials offset 5m))"

ENGINE_ALERTS: Sequence[Alert] = (
    # Processes.
    Alert("ChaparTargetDown", 'up{job=~"chapar-.+"} == 0', "1m", TICKET, f"{_IT} does not serve its metrics."),
    Alert(
        "ChaparServiceAbsent",
        " or ".join(['sum by (job) (up{job=~"chapar-.+"}) == 0', *(f'absent(up{{job="{job}"}})' for job in JOBS)]),
        "1m", PAGE,
        "No process of {{ $labels.job }} serves metrics.",
    ),
    Alert(
        "ChaparIncident", happened("chapar_incidents_total", "job, instance"), "0s", TICKET,
        f"An error that nobody expected, in {_IT}: a bug.",
    ),
    Alert(
        "ChaparEventLoopLate", f"{_quantile(0.99, 'chapar_event_loop_lag_seconds')} > 0.25", "10m", TICKET,
        f"One in a hundred wakings of {_IT} is more than 0.25 s late.",
    ),
    # The log.
    Alert(
        "ChaparLogContradicted", "sum by (job, instance) (chapar_alarms_total) > 0", "0s", PAGE,
        f"{_IT} found a contradiction in a log or a store and decides nothing more there.",
    ),
    Alert(
        "ChaparClientsAheadOfLog", happened("chapar_positions_beyond_owner_total", "job, instance"), "0s", PAGE,
        f"Clients have seen more of a log than its owner, {_IT}: the end of a log may be lost.",
    ),
    Alert(
        "ChaparAppendsSlow", f"{_quantile(0.99, 'chapar_append_seconds')} > 1", "5m", TICKET,
        f"One in a hundred appends of {_IT} takes longer than 1 s.",
    ),
    Alert(
        "ChaparAppendsUnknown", "sum by (job) (rate(chapar_appends_unknown_total[5m])) > 0.1", "5m", TICKET,
        "Appends of {{ $labels.job }} keep ending without an answer.",
    ),
    # Owning.
    Alert(
        "ChaparPartitionsTroubled", "sum by (job, instance) (chapar_partitions_troubled) > 0", "2m", PAGE,
        f"Something is wrong in partitions that {_IT} holds.",
    ),
    Alert(
        "ChaparPartitionsWithoutOwner", f"{_OWNED} < quantile_over_time(0.9, {_OWNED}[6h:1m])", "2m", PAGE,
        "Partitions of {{ $labels.job }} that somebody decided within the last hours are decided by nobody.",
    ),
    Alert(
        "ChaparHeartbeatOld", "max by (job, instance) (chapar_heartbeat_age_seconds) > 5", "30s", PAGE,
        f"No heartbeat of {_IT} was acknowledged for 5 s: it decides nothing.",
    ),
    Alert(
        "ChaparClockOff", "max by (job, instance) (abs(chapar_clock_off_ms)) > 0", "30s", PAGE,
        f"The clock of {_IT} and its journal's are too far apart: nothing is decided.",
    ),
    Alert(
        "ChaparPartitionsMoving", "sum by (job) (rate(chapar_partitions_lost_total[15m])) * 900 > 10", "0s", TICKET,
        "Processes of {{ $labels.job }} keep taking partitions from each other.",
    ),
    Alert(
        "ChaparOverloaded",
        "sum by (job) (rate(chapar_commands_overloaded_total[5m]) + rate(chapar_commands_too_late_total[5m])"
        " + rate(chapar_confirmations_overloaded_total[5m])) > 1",
        "5m", PAGE, "{{ $labels.job }} refuses more than one call a second because too much waits.",
    ),
    # The store.
    Alert(
        "ChaparProjectionLate", "max by (job) (chapar_projection_lag_seconds) > 60", "5m", TICKET,
        "The store of {{ $labels.job }} is more than a minute behind its log.",
    ),
    Alert(
        "ChaparStoreFailing",
        "sum by (job) (rate(chapar_projections_failed_total[5m]) + rate(chapar_loads_failed_total[5m])"
        " + rate(chapar_purges_failed_total[5m])) > 0",
        "5m", PAGE, "The store of {{ $labels.job }} refuses or does not answer.",
    ),
    Alert(
        "ChaparEditionDiffers", happened("chapar_edition_differences_total", "job"), "0s", TICKET,
        "A rebuilt store of {{ $labels.job }} differs from the one that is served.",
    ),
    # What follows from logs.
    Alert(
        "ChaparReactorLate", "max by (job, reactor) (chapar_reactor_lag_seconds) > 30", "2m", PAGE,
        "What the reactor {{ $labels.reactor }} of {{ $labels.job }} has to do waits for more than 30 s.",
    ),
    Alert(
        "ChaparRelayLate", "max by (job, topic) (chapar_relay_lag_offsets) > 10000", "5m", PAGE,
        "Relays of {{ $labels.topic }} are more than 10,000 records behind.",
    ),
    Alert(
        "ChaparReactorRefused", happened("chapar_reactor_refusals_total", "job, reactor, reason"), "0s", TICKET,
        "A command of the reactor {{ $labels.reactor }} of {{ $labels.job }} was refused: {{ $labels.reason }}.",
    ),
    Alert(
        "ChaparReactorFailed", happened("chapar_reactor_failures_total", "job, reactor"), "0s", PAGE,
        "The reactor {{ $labels.reactor }} of {{ $labels.job }} fails: a bug.",
    ),
    Alert(
        "ChaparReactorHoles", "sum by (job, reactor) (rate(chapar_reactor_holes_total[10m])) > 0", "10m", TICKET,
        "Commands of the reactor {{ $labels.reactor }} of {{ $labels.job }} keep arriving before their predecessors.",
    ),
    Alert(
        "ChaparFollowersRestarting", "sum by (job, follower) (rate(chapar_followers_restarted_total[15m])) * 900 > 5",
        "0s", TICKET, "{{ $labels.follower }} of {{ $labels.job }} keeps beginning again.",
    ),
    Alert(
        "ChaparTimersFailing", "sum by (job, reason) (rate(chapar_timers_failed_total[10m])) > 0", "10m", TICKET,
        "Commands of due timers of {{ $labels.job }} keep failing: {{ $labels.reason }}.",
    ),
    # The books.
    Alert(
        "ChaparLedgerBroken", happened("chapar_ledger_violations_total", "job, rule"), "0s", PAGE,
        "An event in the log of payments breaks a rule of the books: {{ $labels.rule }}.",
    ),
    Alert(
        "ChaparMoneyFromNothing", f"{_APPLIED} > {_SENT}", "5m", PAGE,
        "More money has arrived between partitions than ever left.",
    ),
    Alert(
        "ChaparMoneyDoubtful",
        'sum by (job) (chapar_reactor_carried_late{job="chapar-payments",reactor="reactor/transits"}) > 0', "1m", PAGE,
        "Money left its payers more than 30 s ago and is not known to have arrived.",
    ),
    # The canary.
    Alert(
        "ChaparCanarySilent",
        "sum by (instance) (rate(chapar_canary_attempts_total[5m])) == 0"
        ' or count by (instance) (max_over_time(up{job="chapar-canary"}[1d]))'
        ' unless count by (instance) (up{job="chapar-canary"} == 1)',
        "5m", TICKET, "The canary {{ $labels.instance }} tries nothing.",
    ),
    Alert(
        "ChaparCanaryMoneyMissing", "max by (instance) (chapar_canary_missing_rials) > 0", "10m", PAGE,
        "The wallets of the canary {{ $labels.instance }} hold less than they did: money is late, or lost.",
    ),
    # Gateways.
    Alert(
        "ChaparRevocationsOld", "max by (job, instance) (chapar_revocations_age_seconds) > 1", "30s", PAGE,
        f"What {_IT} knows of revocations is more than 1 s old: it refuses money and changes of identity.",
    ),
)  # fmt: skip


def of_levels() -> list[dict[str, Any]]:
    """The rules that tell of budgets that burn, as Prometheus reads them."""
    return [burn_rule(level, burn) for level in LEVELS for burn in BURNS]


def of_engine() -> list[dict[str, Any]]:
    """All other rules, as Prometheus reads them."""
    return [alert.rule() for alert in ENGINE_ALERTS]


def names() -> Iterator[str]:
    """All alerts: each has a runbook."""
    yield from (level.alert for level in LEVELS)
    yield from (alert.name for alert in ENGINE_ALERTS)


def burn_rule(level: Level, burn: Burning) -> dict[str, Any]:
    """One pace of one level, as Prometheus reads it."""
    bound = f"{burn.factor:g} * (1 - {level.objective})"
    over = " and ".join(f'{ERRORS}{window}{{slo="{level.name}"}} > {bound}' for window in (burn.long, burn.short))
    labels = {"severity": burn.severity, "slo": level.name, "window": burn.long}
    summary = f"The budget of {level.name} burns {burn.factor:g} times as fast as it lasts: {level.promise}"
    return _rule(level.alert, over, burn.wait, labels, summary)


def _rule(name: str, query: str, wait: str, labels: dict[str, str], summary: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": name, "expr": query}
    if wait != "0s":
        rule["for"] = wait
    return {**rule, "labels": labels, "annotations": {"summary": summary, "runbook": f"docs/runbooks/{name}.md"}}
