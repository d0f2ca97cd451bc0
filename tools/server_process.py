"""A server that tools and tests start beside themselves: one child process, ended by its id, dead when we are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STOP_DEADLINE_S = 30.0


class ServerFailed(RuntimeError):
    """The server did not start, does not run, or cannot be had. The text holds the end of its log."""


class ServerProcess:
    """At most one process at a time, whose output goes to `log`."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        # Linux ends a child with the thread that started it: one thread that stays starts them all.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix=name)

    @property
    def pid(self) -> int:
        """Of the running process. Raises `ServerFailed`."""
        return self._running().pid

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended by us."""
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._running().poll() is not None

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def start(self, command: Sequence[str]) -> None:
        """Starts it in the folder of its log."""
        self._process = self._spawner.submit(self._spawn, command).result()

    def end(self, how: signal.Signals) -> None:
        """Ends it; with `SIGKILL` if it takes longer than 30 s. Raises `ServerFailed` when none runs."""
        process, self._process = self._running(), None
        process.send_signal(how)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Stops it where it is: connections stay open, and nobody answers once this has returned. Linux only."""
        os.kill(self.pid, signal.SIGSTOP)
        # The signal has returned before every thread has stopped.
        deadline = time.monotonic() + STOP_DEADLINE_S
        while not all(_is_stopped(thread) for thread in Path(f"/proc/{self.pid}/task").iterdir()):
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self._name} was told to stop and goes on")
            time.sleep(0.005)

    def resume(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerFailed(f"{self._name} does not run")
        return self._process

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as out:
            return subprocess.Popen(
                (*_dying_with_us(), *command), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self._log.parent,
            )  # fmt: skip


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock that processes share."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def free_ports(*wanted: int | None) -> list[int]:
    """A port on 127.0.0.1 for each: the one that is wanted, or one that is free, as far as can be known."""
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in wanted]
        for one, port in zip(sockets, wanted, strict=True):
            one.bind(("127.0.0.1", port or 0))
        return [int(one.getsockname()[1]) for one in sockets]


def answers(port: int) -> bool:
    """Whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_stopped(thread: Path) -> bool:
    """Whether a thread, as its folder in /proc tells, is stopped; one that has ended is, too."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _dying_with_us() -> tuple[str, ...]:
    """What to put before a command so that it ends when this process dies, where the system has it."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
