"""Queries are read as far as the linter needs it."""

from __future__ import annotations

import pytest

from tools.watch.promql import NotRead, read


def test_selectors_are_found_with_matchers_window_and_function() -> None:
    one, two = read('sum by (job) (rate(a_total{job="x",code!~"A|B"}[5m])) / max(b{zone=~"$zone"} offset 1h)').selectors
    assert (one.metric, one.matchers, one.range, one.function) == ("a_total", {"job": "x", "code": "A|B"}, "5m", "rate")
    assert (two.metric, two.matchers, two.function, two.shifted) == ("b", {"zone": "$zone"}, "max", True)


def test_labels_and_functions_are_found_wherever_they_stand() -> None:
    reading = read("sum(a) by (x) * on (y) group_left (z) avg without (w) (b) > bool 2 unless c")
    assert reading.grouped == {"x", "y", "z", "w"}
    assert reading.functions == {"sum", "avg"}
    assert [one.metric for one in reading.selectors] == ["a", "b", "c"]


def test_windows_of_whole_queries_are_passed_over() -> None:
    (one,) = read("quantile_over_time(0.9, sum by (job) (a)[6h:1m])").selectors
    assert (one.metric, one.range, one.function) == ("a", "", "sum")


@pytest.mark.parametrize("query", ["sum(a", "a)", "a{b='c'}", 'a{b="c"', "sum by (a) b", "a ? b"])
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(NotRead):
        read(query)
