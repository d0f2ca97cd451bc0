"""A file system of its own below a server, so small that it can be filled and emptied again. Linux only.

It lies in memory. Whoever mounts calls `mount_alone` first, at its start: nobody else sees what is mounted then, and
when the last of this process and its children has ended, it is gone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_NEW_MOUNTS = 0x0002_0000
_NEW_USERS = 0x1000_0000
BALLAST_BYTES = 64 * 1024


class DiskFailed(RuntimeError):
    """Nothing can be mounted here; the text says why."""


def mount_alone() -> None:
    """From here on this thread and what it starts have mounts of their own; who is not root is root among themselves.

    Raises `DiskFailed`.
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS if uid == 0 else _NEW_MOUNTS | _NEW_USERS) != 0:
        raise DiskFailed(f"small disks need the right to mount: {os.strerror(ctypes.get_errno())}")
    if uid != 0:
        for name, content in {"setgroups": "deny", "uid_map": f"0 {uid} 1", "gid_map": f"0 {gid} 1"}.items():
            Path(f"/proc/self/{name}").write_text(content)
    _run("mount", "--make-rprivate", "/")


class SmallDisk:
    """One of them, mounted on a folder as long as the `with` block runs; what it holds goes with it."""

    def __init__(self, folder: Path, *, mib: int) -> None:
        self._folder = folder
        self._mib = mib

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._mib}m", "chapar", str(self._folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "--lazy", str(self._folder))

    @property
    def free_bytes(self) -> int:
        """How much can still be written."""
        about = os.statvfs(self._folder)
        return about.f_bavail * about.f_frsize

    def fill(self) -> None:
        """Takes all that is left; whoever writes there finds no space."""
        try:
            with self._ballast.open("ab", buffering=0) as file:
                while file.write(bytes(BALLAST_BYTES)):
                    pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def empty(self) -> None:
        """Gives it back."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self._folder / "ballast"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DiskFailed(f"{' '.join(command)}: {done.stderr.strip()}")
