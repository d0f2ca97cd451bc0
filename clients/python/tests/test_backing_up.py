"""What a copying service says is taken for an answer only where it says so."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from chapar_client.up import ServiceFailed
from chapar_client.up._backing_up import _Copy


def copying(*lines: object) -> tuple[_Copy, list[int]]:
    """A service that says these lines and ends, and what is shown of its progress."""
    stdout, shown = asyncio.StreamReader(), list[int]()
    for line in lines:
        stdout.feed_data((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
    stdout.feed_eof()
    process: Any = SimpleNamespace(stdout=stdout)
    return _Copy("messaging", process, lambda _, done: shown.append(done)), shown


async def test_warnings_of_libraries_are_no_answers() -> None:
    warning = {"logger": "aiokafka", "message": "Unable connect to node", "event": "library", "level": "warning"}
    copy, shown = copying({"progress": 0}, warning, "a word", {"answer": {"wanted": {"3": 5}}})
    assert await copy.answer() == {"wanted": {"3": 5}}
    assert shown == [1]


async def test_a_service_that_ends_without_an_answer_failed_with_its_last_word() -> None:
    copy, _ = copying({"progress": 0}, "chapar-messaging: the log is damaged")
    with pytest.raises(ServiceFailed, match="the log is damaged"):
        await copy.answer()
