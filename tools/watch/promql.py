"""Reads PromQL as far as a linter must: which series a query selects, inside of which function, by which labels.

Whether a query is PromQL at all is not said here: `promtool check rules` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>\d[\w.]*)|(?P<variable>\$\w+|\$\{\w+\})"""
    r"""|(?P<name>[A-Za-z_:][\w:]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^(){}\[\],=<>:]))"""
)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "bool", "offset"}


@dataclass(frozen=True, slots=True)
class Selector:
    """One selection of series in a query."""

    metric: str
    matchers: Mapping[str, str]
    """Label to the pattern after its operator."""
    range: str
    """Such as "5m"; "" for an instant."""
    function: str
    """What it is directly given to; "" for nothing."""
    shifted: bool
    """Whether an offset follows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a query says."""

    selectors: Sequence[Selector]
    grouped: frozenset[str]
    """Labels of all `by`, `on` and `group_left`."""
    functions: frozenset[str]


class NotRead(ValueError):
    """The text has signs that no query has, or brackets that do not close."""


def read(query: str) -> Reading:
    """Raises `NotRead`."""
    return _Reader([*_signs(query)]).all()


def _signs(query: str) -> Iterator[str]:
    at = 0
    while at < len(query.rstrip()):
        found = _TOKEN.match(query, at)
        if found is None:
            raise NotRead(f"{query[at : at + 20]!r} in {query!r}")
        at = found.end()
        yield found.group().strip()


class _Reader:
    def __init__(self, signs: Sequence[str]) -> None:
        self._signs = signs
        self._at = 0
        self._inside: list[str] = []
        self._selectors: list[Selector] = []
        self._grouped: set[str] = set()
        self._functions: set[str] = set()

    def all(self) -> Reading:
        while self._next:
            self._step()
        if self._inside:
            raise NotRead("a bracket is open at the end")
        return Reading(self._selectors, frozenset(self._grouped), frozenset(self._functions))

    @property
    def _next(self) -> str:
        return self._signs[self._at] if self._at < len(self._signs) else ""

    def _take(self) -> str:
        sign = self._next
        self._at += 1
        return sign

    def _until(self, end: str) -> list[str]:
        taken = []
        while self._next != end:
            if not self._next:
                raise NotRead(f"no {end}")
            taken.append(self._take())
        self._take()
        return taken

    def _step(self) -> None:
        sign = self._take()
        if sign == "(":
            self._inside.append("")
        elif sign == ")":
            if not self._inside:
                raise NotRead("a bracket closes that was not open")
            self._inside.pop()
        elif sign == "[":
            self._until("]")
        elif re.match(r"[A-Za-z_:]", sign):
            self._word(sign)

    def _word(self, word: str) -> None:
        if word in _GROUPING:
            if self._next == "(":
                self._take()
                self._grouped |= {label for label in self._until(")") if label != ","}
        elif word == "offset":
            self._take()
        elif word in _WORDS:
            return
        elif self._next == "(":
            self._take()
            self._call(word)
        elif self._next in _GROUPING:
            # An aggregation that says its labels first.
            self._word(self._take())
            if self._take() != "(":
                raise NotRead(f"{word} of nothing")
            self._call(word)
        else:
            self._select(word)

    def _call(self, function: str) -> None:
        self._functions.add(function)
        self._inside.append(function)

    def _select(self, metric: str) -> None:
        matchers: dict[str, str] = {}
        span = ""
        if self._next == "{":
            self._take()
            inner = self._until("}")
            for at in range(0, len(inner), 4):
                label, _, pattern = inner[at : at + 3]
                matchers[label] = pattern.strip('"')
        if self._next == "[":
            self._take()
            span = "".join(self._until("]"))
        function = self._inside[-1] if self._inside else ""
        self._selectors.append(Selector(metric, matchers, span, function, self._next == "offset"))
