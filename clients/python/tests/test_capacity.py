"""What an installation would take is reckoned from what was measured, and from nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from typer.testing import CliRunner

from chapar_client.capacity import UTILISATION, Given, Load, Plan, Range, page, plan, units
from chapar_client.cli import app
from chapar_client.sdk import InvalidInput

ALL_GIVEN = Given(
    database_ms=1, delivery_ms=0.5, deliveries=3, tls_ms=0.2, resume_ms=4, presence_ms=1, session_kb=20,
    hot_documents=5,
)  # fmt: skip
OPTIONS = {"--database-ms", "--tls-ms", "--resume-ms", "--presence-ms", "--session-kb", "--hot-documents"}


def planned(given: Given = Given(), **load: Any) -> Plan:  # noqa: B008 - frozen
    return plan(Load(**load), given, units())


def item(made: Plan, what: str) -> Range:
    (found,) = (one.range for one in made.items if one.what.startswith(what))
    return found


def test_every_measured_figure_names_its_source_and_is_in_order() -> None:
    for unit in units().values():
        assert 0 <= unit.low <= unit.high
        assert math.isfinite(unit.high)
        assert unit.source.startswith(("docs/benchmarks.md", "python -m bench."))
        assert unit.note


def test_each_measured_figure_is_used_and_nothing_else_is() -> None:
    rests_on = {name for one in planned(ALL_GIVEN).items for name in one.rests_on.split(", ")}
    assert {name for name in rests_on if not name.startswith("--")} == {*units()}


def test_cores_are_what_the_busiest_second_costs_at_the_utilisation() -> None:
    made = planned(users=86_400, messages_a_day=10, messages_peak=2)
    gateway = units()["gateway_ms"]
    assert UTILISATION == 0.6
    cores = item(made, "gateways: messages")
    assert (cores.low, cores.high) == pytest.approx([20 * ms / 1000 / 0.6 for ms in (gateway.low, gateway.high)])
    brokers, one = item(made, "brokers"), units()["broker_ms"]
    assert brokers.low == pytest.approx(20 * one.low / 1000 / 0.6)
    assert brokers.high == pytest.approx(20 * 3 * one.high / 1000 / 0.6)


def test_disks_hold_all_days_in_all_copies() -> None:
    made = planned(users=1_000, messages_a_day=10, days=30, copies=3)
    size = units()["message_journal_bytes"]
    assert item(made, "journals: messages").low == pytest.approx(1_000 * 10 * 30 * 3 * size.low / 0.6)


@pytest.mark.parametrize("given", [Given(), ALL_GIVEN], ids=["measured alone", "all given"])
def test_ranges_are_ordered_and_more_users_never_take_less(given: Given) -> None:
    before = planned(given, users=10)
    for exponent in range(2, 10):
        made = planned(given, users=10.0**exponent)
        assert {item.what for item in made.items} == {item.what for item in before.items}
        for range_ in (*(one.range for one in made.items), *made.totals.values(), made.processes, made.brokers):
            assert 0 <= range_.low <= range_.high
        for part in ("cores", "disk", "memory"):
            assert made.totals[part].low >= before.totals[part].low
            assert made.totals[part].high >= before.totals[part].high
        assert made.brokers.low >= before.brokers.low
        before = made


def test_what_is_linear_in_users_is_so() -> None:
    one, ten = planned(ALL_GIVEN, users=1e6), planned(ALL_GIVEN, users=1e7)
    for small, large in zip(one.items, ten.items, strict=True):
        if "processes" not in small.what:
            assert large.range.low == pytest.approx(small.range.low * 10), small.what
            assert large.range.high == pytest.approx(small.range.high * 10), small.what


def test_there_are_as_many_processes_as_cores_and_five_at_least() -> None:
    tiny = planned(users=1)
    assert (tiny.processes, tiny.brokers) == (Range(5, 5), Range(3, 3))
    assert planned(users=1, copies=1).brokers == Range(1, 1)
    large = planned()
    ours = [one.range.high for one in large.items if one.part == "cores" and not one.what.startswith("brokers")]
    idle = item(large, "what processes use while nobody writes").high
    assert large.processes.high == math.ceil(sum(ours) - idle)


def test_what_nobody_has_measured_is_named_and_counted_once_it_is_given() -> None:
    bare, full = planned(), planned(ALL_GIVEN)
    assert {one.option for one in bare.missing} == OPTIONS
    assert full.missing == []
    assert full.totals["memory"].low > bare.totals["memory"].low + 10e6 * (20_000 + 5 * 600)
    assert item(full, "resume").low == pytest.approx(10e6 / 600 * 4 / 1000 / 0.6)
    assert item(full, "TLS").low > 0
    assert {one.option for one in planned(Given(deliveries=3)).missing} == OPTIONS | {"--delivery-ms"}


@pytest.mark.parametrize("field", [field.name for field in fields(Load)])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_load_that_is_none_is_refused_with_its_name(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=field):
        replace(Load(), **{field: value})


@pytest.mark.parametrize(
    ("load", "reason"),
    [({"sessions_share": 1.1}, "at most 1"), ({"messages_peak": 0.5}, "at least 1"), ({"copies": 10}, "1 to 9")],
)
def test_a_load_that_cannot_be_is_refused_with_the_reason(load: dict[str, float], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        Load(**load)  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "reason"), [({"tls_ms": -1}, "tls_ms"), ({"deliveries": 1}, "at least 2")])
def test_what_is_given_is_looked_at_too(given: dict[str, float], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        Given(**given)  # type: ignore[arg-type]


def test_the_command_speaks_json_prints_the_page_and_refuses() -> None:
    runner = CliRunner()
    said = json.loads(runner.invoke(app, ["capacity", "--users", "1e6", "--tls-ms", "0.3", "--json"]).stdout)
    assert said["load"]["users"] == 1e6
    assert said["totals"]["cores"]["low"] < said["totals"]["cores"]["high"]
    assert "TLS at gateways" in {one["what"] for one in said["items"]}
    assert runner.invoke(app, ["capacity", "--page"]).stdout == page(planned())
    assert "nobody has measured it" in runner.invoke(app, ["capacity"]).stdout
    refused = runner.invoke(app, ["capacity", "--users", "-3"])
    assert refused.exit_code == 2
    assert "users must be a number above 0" in refused.stderr
