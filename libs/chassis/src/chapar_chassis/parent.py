"""Ends a process whose parent is gone, however the parent ended: no child outlives a `chapar up` killed with -9.

On Linux the kernel does it (PR_SET_PDEATHSIG). That signal comes at the end of the parent's *thread* that forked, and
not at all when the parent was gone before we asked: so the parent's id is watched, too.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 0.5


def end_with_parent(parent_pid: int) -> None:
    """Asks the kernel to end this process with SIGKILL at the end of its parent; without a parent (0) nothing."""
    if parent_pid and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def has_parent(parent_pid: int) -> bool:
    """Whether the process that started this one is still its parent."""
    return os.getppid() == parent_pid


async def wait_parent_gone(parent_pid: int) -> None:
    """Returns when the parent is gone; for ever without a parent to watch (0)."""
    while parent_pid == 0 or has_parent(parent_pid):  # noqa: ASYNC110 - the kernel tells of children, not of parents.
        await asyncio.sleep(WATCH_SECONDS)
