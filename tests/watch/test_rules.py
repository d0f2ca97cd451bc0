"""Rules are well made; each alert fires when it should and is silent when it should; routes lead somewhere."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from chapar_sourcing.measures import SECONDS
from tests.watch.cases import CASES, Series
from tools.debian import program
from tools.reference import TARGET
from tools.watch import alerts, lint
from tools.watch.__main__ import HEAD, ROOT, RULES, rule_files
from tools.watch.levels import BURNS, LEVELS, Level

Json = dict[str, Any]
ALERTMANAGER = ROOT / "deploy" / "prometheus" / "alertmanager.yaml"


def _rules() -> list[Json]:
    files = sorted(RULES.glob("*.yaml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def _promtool(tmp_path: Path, rules: str, tests: Sequence[Json]) -> None:
    file = tmp_path / "tests.yaml"
    content = {"rule_files": [str(RULES / f"{rules}.yaml")], "evaluation_interval": "1m"}
    file.write_text(yaml.safe_dump({**content, "tests": [*tests]}))
    done = subprocess.run(
        (program("promtool"), "test", "rules", str(file)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _test(series: Series, minutes: int, name: str, expected: Sequence[Json]) -> Json:
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": [*expected]}],
    }


def _firing(rule: Mapping[str, Any], labels: Mapping[str, str]) -> Json:
    """An alert as promtool expects it, with what Prometheus fills in."""
    everything = {**labels, **rule["labels"]}
    said = {
        key: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: everything[found[1]], text)
        for key, text in rule["annotations"].items()
    }
    return {"exp_labels": everything, "exp_annotations": said}


# ---- how rules are made


def test_the_committed_rules_are_what_is_made_and_have_no_problems() -> None:
    for name, groups in rule_files().items():
        text = (RULES / name).read_text(encoding="utf-8")
        assert yaml.safe_load(text)["groups"] == groups
        assert text.startswith(HEAD)
        # Left to Prometheus it would be a minute, which is longer than some alerts wait.
        assert all(group["interval"] in ("15s", "1m") for group in groups)
    assert [problem for rule in _rules() for problem in lint.rule(rule)] == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"expr": "chapar_alarms_total > 5"}, "its rate is not taken"),
        ({"expr": "sum(chapar_surprises) > 0"}, "does not exist"),
        ({"expr": "sum(rate(chapar_watchers[5m])) > 0"}, "does not add up"),
        ({"labels": {"severity": "critical"}}, "neither page nor ticket"),
        ({"annotations": {"summary": "Alarm.", "runbook": "docs/runbooks/Other.md"}}, "not called after it"),
        ({"annotations": {"summary": "alarm", "runbook": "docs/runbooks/ChaparLogContradicted.md"}}, "no sentence"),
    ],
)
def test_what_is_wrong_with_an_alert_is_said(change: Json, expected: str) -> None:
    (rule,) = (rule for rule in _rules() if rule.get("alert") == "ChaparLogContradicted")
    assert any(expected in problem for problem in lint.rule(copy.deepcopy(rule) | change))


def test_what_a_rule_records_has_to_be_known() -> None:
    rule: Json = {"record": "slo:chapar_surprise:ratio", "expr": "vector(1)"}
    assert any("is not known" in problem for problem in lint.rule(rule))
    rule = {"record": "slo:chapar_errors:ratio_rate5m", "expr": "vector(1)", "labels": {"user": "u1"}}
    assert any("with other labels" in problem for problem in lint.rule(rule))


def test_bounds_of_levels_are_bounds_of_buckets_and_calls_exist() -> None:
    page = TARGET.read_text(encoding="utf-8")
    for level in LEVELS:
        assert 0.99 <= level.objective < 1
        for call in level.calls:
            assert level.seconds in SECONDS
            service, _, method = call.rpartition("/")
            assert f"### {service.rpartition('.')[2]}\n" in page
            assert f"| `{method}` |" in page


# ---- alerts of the engine


def test_each_alert_of_the_engine_has_a_case_that_fires_and_one_that_does_not() -> None:
    assert {*CASES} == {alert.name for alert in alerts.ENGINE_ALERTS}
    for case in CASES.values():
        assert case.fires != case.silent


@pytest.mark.watch
def test_alerts_of_the_engine_fire_and_are_silent(tmp_path: Path) -> None:
    by_name = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
    tests = []
    for name, case in CASES.items():
        tests.append(_test(case.fires, case.minutes, name, [_firing(by_name[name], case.labels)]))
        tests.append(_test(case.silent, case.minutes, name, []))
    _promtool(tmp_path, "engine", tests)


# ---- service levels

PER_MINUTE = 100_000
MINUTES = 120


def _calls(level: Level, good: str, *, code: str = "OK", answered: str | None = None) -> Series:
    """Calls of a status: how many were in time, and how many there were."""
    of = f'job="chapar-gateway",instance="g-1",rpc="/{level.calls[0]}",code="{code}"'
    counted = {f"chapar_rpc_seconds_count{{{of}}}": answered or good}
    return {f'chapar_rpc_seconds_bucket{{{of},le="{level.seconds}"}}': good, **counted}


def _bad(level: Level, share: float) -> Series:
    """A level of which a share is bad all the time."""
    if level.counted:
        of = 'job="chapar-canary",instance="c-1",stage="send"'
        failed, tried = level.counted
        return {
            f"{tried}{{{of}}}": f"0+{PER_MINUTE}x{MINUTES}",
            f"{failed}{{{of}}}": f"0+{round(PER_MINUTE * share)}x{MINUTES}",
        }
    if level.calls:
        bad = round(PER_MINUTE * share)
        of_them = f"0+{bad}x{MINUTES}"
        return {**_calls(level, f"0+{PER_MINUTE - bad}x{MINUTES}"), **_calls(level, of_them, code="UNAVAILABLE")}
    lag = 'chapar_reactor_lag_seconds{{job="chapar-messaging",reactor="reactor/fan_out",instance="m-{}"}}'
    # One process is late: always, or, where the short window is long enough, for one minute of ten.
    late, others = ("3x120", 1) if share > 0.01 else (" ".join(["3 1x8"] * 12), 10)
    return {lag.format(n): late if n == 0 else f"1x{MINUTES}" for n in range(round(1 / share / others))}


def _burning(level: Level, *windows: str) -> list[Json]:
    rules = (alerts.burn_rule(level, burn) for burn in BURNS if burn.long in windows)
    return [_firing(rule, {}) for rule in rules]


def _levels_test(series: Series, *expected: tuple[Level, Sequence[Json]], minutes: int = MINUTES) -> Json:
    test = _test(series, minutes, "", [])
    test["alert_rule_test"] = [
        {"eval_time": f"{minutes}m", "alertname": level.alert, "exp_alerts": [*alerts_]} for level, alerts_ in expected
    ]
    return test


@pytest.mark.watch
@pytest.mark.parametrize(
    ("pace", "windows"), [(0.5, ()), (1.3, ("3d",)), (8, ("6h", "3d")), (20, ("1h", "6h", "3d"))], ids=str
)
def test_budgets_burn_at_the_pace_of_each_window(tmp_path: Path, pace: float, windows: Sequence[str]) -> None:
    series: dict[str, str] = {}
    for level in LEVELS:
        series |= _bad(level, pace * (1 - level.objective))
    _promtool(tmp_path, "levels", [_levels_test(series, *((level, _burning(level, *windows)) for level in LEVELS))])


@pytest.mark.watch
def test_late_answers_burn_as_faults_do_and_mistakes_of_callers_do_not(tmp_path: Path) -> None:
    late: dict[str, str] = {}
    mistaken: dict[str, str] = {}
    called = [level for level in LEVELS if level.calls]
    for level in called:
        late |= _calls(level, f"0+{PER_MINUTE * 0.9}x{MINUTES}", answered=f"0+{PER_MINUTE}x{MINUTES}")
        mistaken |= _calls(level, f"0+{PER_MINUTE}x{MINUTES}", code="FAILED_PRECONDITION")
    everything = tuple(burn.long for burn in BURNS)
    _promtool(tmp_path, "levels", [
        _levels_test(late, *((level, _burning(level, *everything)) for level in called)),
        _levels_test(mistaken, *((level, []) for level in called)),
    ])  # fmt: skip


@pytest.mark.watch
def test_it_burns_where_nothing_was_ever_good_and_not_where_nothing_is_asked(tmp_path: Path) -> None:
    faults: dict[str, str] = {}
    nothing: dict[str, str] = {}
    called = [level for level in LEVELS if level.calls]
    for level in called:
        (_, count) = _calls(level, "", code="UNAVAILABLE")
        faults |= {count: f"0+10x{MINUTES}"}
        nothing |= _calls(level, f"7x{MINUTES}")
    everything = tuple(burn.long for burn in BURNS)
    _promtool(tmp_path, "levels", [
        _levels_test(faults, *((level, _burning(level, *everything)) for level in called)),
        _levels_test(nothing, *((level, []) for level in called)),
    ])  # fmt: skip


@pytest.mark.watch
def test_a_page_ends_soon_after_what_was_wrong(tmp_path: Path) -> None:
    """Half an hour of faults is remembered by the long window; the short one lets go."""
    series: dict[str, str] = {}
    called = [level for level in LEVELS if level.calls]
    for level in called:
        series |= _calls(level, f"0+{PER_MINUTE}x{MINUTES}")
        series |= _calls(level, f"0x60 1+{PER_MINUTE // 5}x30 {PER_MINUTE * 6}x30", code="UNAVAILABLE")
    during = _levels_test(series, *((level, _burning(level, "1h", "6h")) for level in called), minutes=85)
    after = _levels_test(series, *((level, _burning(level, "6h", "3d")) for level in called), minutes=100)
    _promtool(tmp_path, "levels", [during, after])


# ---- where alerts go


@pytest.mark.watch
@pytest.mark.parametrize(("severity", "receiver"), [("page", "page"), ("ticket", "ticket")])
def test_severities_are_routed(severity: str, receiver: str) -> None:
    for rule in _rules():
        if rule.get("labels", {}).get("severity") == severity:
            labels = [f"{name}={value}" for name, value in {**rule["labels"], "alertname": rule["alert"]}.items()]
            command = [str(program("amtool")), "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr


@pytest.mark.watch
def test_what_has_no_severity_is_not_lost() -> None:
    command = (program("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}", "alertname=Other")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "ticket"


@pytest.mark.watch
def test_the_configuration_of_routes_is_one() -> None:
    command = (program("amtool"), "check-config", str(ALERTMANAGER))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
