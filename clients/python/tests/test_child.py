"""A child that does not come up: its supervisor repeats what it said last."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from chapar_client.up import ServiceFailed
from chapar_client.up._child import Child, LogLine

_NOT_READY = """import json, time
print(json.dumps({"event": "not_ready", "problems": {"its stream is gone": 2, "starting": 14}}), flush=True)
time.sleep(60)
"""


async def test_a_child_that_is_not_ready_in_time_is_told_with_what_keeps_it() -> None:
    said = asyncio.Event()

    def on_line(line: LogLine) -> None:
        assert line.event == "not_ready"
        said.set()

    child = await Child.start("payments", [sys.executable, "-c", _NOT_READY], os.environ, on_line)
    try:
        async with asyncio.timeout(20):
            await said.wait()
        with pytest.raises(ServiceFailed, match="was not ready within 0 s: its stream is gone; starting"):
            await child.ready(0.01)
    finally:
        child.kill()
        await child.ended()
