"""One supervisor a data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chapar_client.sdk import ChaparError


class FolderInUse(ChaparError):
    """Another supervisor runs on this folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(f"{folder} is in use by process {holder}: end that one first, or choose another folder")
        self.holder = holder


class FolderUnusable(ChaparError):
    """The folder cannot be made or written."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"{folder} cannot be a data folder ({error.strerror}): choose a folder that user {os.geteuid()} may write"
        )


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Holds the folder's lock while the block runs; the lock ends with the process, however it ends.

    Raises `FolderInUse`, `FolderUnusable`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnusable(folder, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise FolderInUse(folder, holder or "unknown") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
