"""What is measured and what the catalogues say are the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapar_chassis.telemetry import CHASSIS
from chapar_gateway.measures import GATEWAY
from chapar_payments.measures import PAYMENTS
from chapar_sourcing.measures import ENGINE, HeldMeasures, Kind, Measure, catalogue
from tools.metrics_reference import TARGET, page
from tools.watch.known import CANARY

ROOT = Path(__file__).resolve().parent.parent.parent
KINDS = {"count": Kind.COUNTER, "gauge": Kind.GAUGE, "observe": Kind.HISTOGRAM}
ALL = {**ENGINE, **CHASSIS, **GATEWAY, **PAYMENTS}
EVERY = {**ALL, **CANARY}
BY_ATTRIBUTE = {"rpc_seconds", "rpc_running", "incidents"}
"""Those that the chassis takes by the metrics library itself."""
BOUNDED = {"partition", "phase", "topic", "follower", "reactor", "reason", "rule", "rpc", "code", "stage"}
"""Labels whose values are numbers of partitions, or words that our own code or protos have written down."""


def _taken() -> Iterator[tuple[str, Kind, frozenset[str], bool, str]]:
    """Name, kind and labels of each measure that is taken, whether labels come as a mapping as well, and where."""
    for source in [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            match node.func:
                case ast.Attribute(attr=("count" | "gauge" | "observe") as how, value=ast.Attribute(attr=owner)):
                    measured = owner in ("_measures", "metrics", "_metrics")
                case ast.Attribute(attr=("count" | "gauge" | "observe") as how, value=ast.Name(id="metrics")):
                    measured = True
                case ast.Name(id="gauge" as how):
                    measured = True
                case _:
                    measured = False
            if measured:
                named = {keyword.arg for keyword in node.keywords if keyword.arg}
                mapped = any(keyword.arg is None for keyword in node.keywords)
                yield str(node.args[0].value), KINDS[how], frozenset(named - {"amount"}), mapped, source.name


def test_all_that_is_measured_is_in_a_catalogue_and_the_other_way_round() -> None:
    seen = set()
    for name, kind, labels, mapped, where in _taken():
        measure = ALL[name]
        assert measure.kind is kind, (name, where)
        assert mapped or labels == {*measure.labels}, (name, where)
        seen.add(name)
    assert {*ALL} - seen == BY_ATTRIBUTE


def test_no_label_has_room_for_what_users_say() -> None:
    assert {label for measure in EVERY.values() for label in measure.labels} == BOUNDED


def test_names_meanings_and_buckets_are_whole() -> None:
    assert len(ALL) == len(ENGINE) + len(CHASSIS) + len(GATEWAY) + len(PAYMENTS)
    for name, measure in EVERY.items():
        assert name == name.lower()
        assert measure.meaning.endswith(".")
        assert measure.meaning[0].isupper()
        assert bool(measure.buckets) is (measure.kind is Kind.HISTOGRAM)
        assert [*measure.buckets] == sorted(set(measure.buckets))


def test_the_page_of_metrics_is_what_the_catalogues_say() -> None:
    assert TARGET.read_text(encoding="utf-8") == page()


def test_a_measure_that_is_there_twice_is_refused() -> None:
    one = Measure("alarms", Kind.COUNTER, "Alarms.")
    with pytest.raises(ValueError, match="twice"):
        catalogue(one, one)


def test_what_is_held_for_tests_is_as_strict_as_what_is_served() -> None:
    held = HeldMeasures()
    held.observe("append_seconds", 0.5)
    assert held.values["append_seconds"] == [0.5]
    with pytest.raises(KeyError, match="surprises"):
        held.count("surprises")
    with pytest.raises(KeyError, match="is a counter"):
        held.gauge("alarms", 1.0)
    with pytest.raises(KeyError, match="labels"):
        held.count("alarms", user="u1")
    with pytest.raises(KeyError, match="topic"):
        held.count("events_published")
