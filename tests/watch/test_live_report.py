"""What the live check says of what it was answered; the check itself is `python -m tools.watch_live`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tools.watch.levels import LEVELS, WINDOWS
from tools.watch.panels import NO_EXPORTER, NOTHING_IS_WELL
from tools.watch_live import Asked, judged, queries, unknown

MEASURED = {level.name: len(WINDOWS) for level in LEVELS}
PAGE = {"alertname": "ChaparTargetDown", "job": "chapar-gateway", "severity": "page"}


def _asked(filled: int, empty: int, *more: Asked) -> Sequence[Asked]:
    due = [Asked("b", f"p{number}", "up", "", int(number < filled)) for number in range(filled + empty)]
    return [*due, *more]


def test_all_that_is_asked_has_no_variable_left() -> None:
    asked = [*queries()]
    assert len(asked) > 200
    assert not [query for _, _, query, _ in asked if "$" in query]
    assert {mark for *_, mark in asked} == {"", NOTHING_IS_WELL, NO_EXPORTER}


@pytest.mark.parametrize(("filled", "empty", "well"), [(95, 5, True), (94, 6, False), (100, 0, True)])
def test_ninety_five_of_a_hundred_have_data(filled: int, empty: int, well: bool) -> None:
    report = judged(_asked(filled, empty), [], [], MEASURED)
    assert report["well"] is well
    assert report["share"] == filled / 100


def test_what_is_marked_is_counted_apart() -> None:
    marked = [Asked("b", "p", "up", NOTHING_IS_WELL, 0), Asked("b", "p", "up", NO_EXPORTER, 3)]
    report = judged(_asked(95, 5, *marked), [], [], MEASURED)
    assert report["well"]
    assert report["healthy_when_empty"] == {"queries": 1, "with_data": 0}
    assert report["of_brokers"] == {"queries": 1, "with_data": 1}


@pytest.mark.parametrize(
    ("strangers", "alerts", "refused"),
    [(["chapar_surprise"], [], ""), ([], [PAGE], ""), ([], [], "parse error")],
    ids=["a series that no catalogue has", "a page", "a query that is refused"],
)
def test_nothing_of_this_is_well(strangers: Sequence[str], alerts: Sequence[Mapping[str, str]], refused: str) -> None:
    more: list[Any] = [Asked("b", "p", "up(", NOTHING_IS_WELL, 0, refused)] if refused else []
    assert not judged(_asked(100, 0, *more), strangers, alerts, MEASURED)["well"]


def test_a_level_that_is_not_measured_is_not_well() -> None:
    assert not judged(_asked(100, 0), [], [], MEASURED | {"delivery": 0})["well"]


def test_series_of_ours_that_no_catalogue_has_are_named() -> None:
    names = {
        "up",
        "python_info",
        "chapar_alarms_total",
        "chapar_surprise",
        "process_open_fds",
        "chapar_rpc_seconds_sum",
    }
    assert unknown(names) == ["chapar_surprise"]
