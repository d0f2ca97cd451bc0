"""The hold on a file: one process at a time, and a note of how the file was left.

The lock on `<file>.lock` ends with the process however it ends; the note in it stays. It says who held the file, and
whether it was closed in order: a file that was not needs its write-ahead log, and one that was ever made must be
there. Without the note, a file or a log that somebody took away would look like a beginning.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileRefused(RuntimeError):
    """The file is held by another process, or is not what was asked for. The text is for the operator."""


OPEN, CLOSED = "open", "closed"


class Hold:
    """The lock of one file, taken by this process."""

    def __init__(self, path: Path, descriptor: int, left: str) -> None:
        self._path = path
        self._descriptor = descriptor
        self._left = left

    @classmethod
    def take(cls, file: Path) -> Hold:
        """Takes the lock of `file`. Raises `FileRefused`, naming the process that has it."""
        path = file.with_name(f"{file.name}.lock")
        try:
            make_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileRefused(
                f"{path} cannot be written ({error.strerror}): user {os.geteuid()} must be able to write {path.parent}"
            ) from error
        note = os.pread(descriptor, 64, 0).decode("ascii", "replace").split()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            holder = note[0] if note else "unknown"
            raise FileRefused(f"{file} is held by process {holder}: end that one first") from None
        return cls(path, descriptor, note[1] if len(note) > 1 else "")

    def check(self, file: Path) -> None:
        """Raises `FileRefused` when something of the file was taken away since it was held last."""
        accept = f"Put it back, or remove {self._path} to go on without what was in it"
        if self._left and not (file.exists() and file.stat().st_size):
            raise FileRefused(f"{file} was made and is {'empty' if file.exists() else 'gone'}. {accept}")
        wal = file.with_name(f"{file.name}-wal")
        if self._left == OPEN and not wal.exists():
            raise FileRefused(
                f"{file} was not closed in order, and {wal} is gone: what was acknowledged last may be in it. {accept}"
            )

    def note(self, state: str) -> None:
        """Notes durably how the file is; "" says that nothing is known."""
        os.pwrite(self._descriptor, f"{os.getpid():<10} {state:<8}\n".encode(), 0)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Gives the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def make_folder(folder: Path) -> None:
    """Creates a folder for this user alone, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
