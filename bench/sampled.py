"""Where the time of a running process goes: samples of its stacks, taken from outside by py-spy.

Only what holds the interpreter's lock is sampled, so that threads that wait do not count; what libraries do on threads
of their own without Python, such as gRPC, is in `threads` alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from bench.cpu import threads_cpu_ms

SAMPLES_A_SECOND = 100
SHOWN_MAX = 30
WHOLE = 0.8
"""Of the samples: functions with more are the frame around all."""
_PLACES = ("site-packages/", "lib/python", "src/")


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of the samples in which the process ran."""

    samples: int
    threads: Mapping[str, float]
    """Share of the process's CPU time by thread, as the system counts it."""
    modules: Sequence[tuple[str, float]]
    """Module or package that ran, and its share, the largest first; what it called in C counts for it."""
    functions: Sequence[tuple[str, float]]
    """The same by function."""
    beneath: Sequence[tuple[str, float]]
    """Function of ours, and the share of the samples in which it or something that it called ran."""


async def profile(pid: int, seconds: int) -> Profile:
    """Looks at a process of ours while it works. Raises `RuntimeError` with what py-spy says."""
    before = threads_cpu_ms(pid)
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        stacks = Path(scratch) / "stacks"
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--duration", str(seconds),
            "--rate", str(SAMPLES_A_SECOND), "--format", "raw", "--function", "--full-filenames",
            "--gil", "--nonblocking", "--output", str(stacks),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        if process.returncode != 0 or not stacks.exists():
            raise RuntimeError(f"py-spy could not look at process {pid}: {said.decode(errors='replace')[-500:]}")
        used = {name: ms - before.get(name, 0.0) for name, ms in threads_cpu_ms(pid).items()}
        whole = sum(used.values())
        return read(stacks.read_text(), {name: ms / whole for name, ms in used.items()})


def read(stacks: str, threads: Mapping[str, float]) -> Profile:
    """The shares of stacks in py-spy's raw format: "outer (file);inner (file) count", one a line."""
    modules, functions, beneath = Counter[str](), Counter[str](), Counter[str]()
    samples = 0
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_named(frame) for frame in stack.split(";")]
        samples += int(count)
        module, function = frames[-1]
        modules[_package(module)] += int(count)
        functions[f"{module}: {function}"] += int(count)
        for module, function in {frame for frame in frames if frame[0].startswith("chapar_")}:
            beneath[f"{module}: {function}"] += int(count)
    return Profile(samples, threads, *(_shares(counted, samples) for counted in (modules, functions, beneath)))


def _named(frame: str) -> tuple[str, str]:
    """(module, function) of "function (path)"; threads and processes have no path."""
    function, _, path = frame.rpartition(" (")
    if not function:
        return frame, frame
    path = path.rstrip(")").rpartition(":")[0] or path.rstrip(")")
    for place in _PLACES:
        if place in path:
            path = path.rpartition(place)[2]
    return str(PurePath(path).with_suffix("")).replace("/", "."), function


def _package(module: str) -> str:
    """Ours by module; others by package."""
    parts = module.split(".")
    return ".".join(parts[:3]) if module.startswith("chapar_") else parts[0] if parts[0] != "3" else parts[-1]


def _shares(counted: Counter[str], samples: int) -> Sequence[tuple[str, float]]:
    shares = [(name, count / samples) for name, count in counted.most_common(SHOWN_MAX)]
    return [(name, share) for name, share in shares if share < WHOLE]
