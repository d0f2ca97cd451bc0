"""Running a command to its end."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping


async def run_to_end(command: list[str], environment: Mapping[str, str], timeout_s: float = 120.0) -> tuple[int, str]:
    """Runs a command; answers its exit status and what it wrote to both outputs."""
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), stdin=DEVNULL, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, output.decode("utf-8", "replace")
