"""CPU time of processes, as the system counts it. Linux only."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK_MS = 1_000 / os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float:
    """Milliseconds of user and system time of a running process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * _TICK_MS


def threads_cpu_ms(pid: int) -> Mapping[str, float]:
    """The same by the names of threads that run, without the numbers at their ends."""
    found: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip().rstrip("0123456789_-")
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[name] = found.get(name, 0.0) + sum(map(int, fields[11:13])) * _TICK_MS
    return found


def all_cpu_ms() -> float:
    """Milliseconds that all cores of the machine have worked, whoever for, stolen time included."""
    user, nice, system, _idle, _waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) * _TICK_MS


@dataclass(frozen=True, slots=True)
class Used:
    """CPU time from one moment to another."""

    seconds: float
    cpu_ms: Mapping[str, float]
    """By process."""
    others_cores: float
    """Cores that whoever else was there kept busy, on average."""


class Clock:
    """Counts from its making on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """`pids` are all processes that are not others."""
        self._pids = dict(pids)
        self._began = time.monotonic()
        self._before, self._all_before = self._now(), all_cpu_ms()

    def used(self) -> Used:
        """What was used so far. Raises `FileNotFoundError` when one of the processes has ended."""
        now, all_now = self._now(), all_cpu_ms()
        seconds = time.monotonic() - self._began
        used = {name: now[name] - self._before[name] for name in self._pids}
        others_ms = all_now - self._all_before - sum(used.values())
        return Used(seconds, used, max(0.0, others_ms / 1_000 / seconds))

    def _now(self) -> Mapping[str, float]:
        return {name: cpu_ms(pid) for name, pid in self._pids.items()}
