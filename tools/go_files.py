"""Single files of Go modules, such as the CRDs of operators, through Go's module proxy into the user's cache, once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.server_process import ServerFailed, locked


class Source(NamedTuple):
    """Where files are: a Go module of a version, whose sums Go checks, and paths in it."""

    module: str
    version: str
    files: tuple[str, ...]


def folder_with(name: str, sources: Sequence[Source]) -> Path:
    """The folder that holds the files of all sources side by side. Raises `ServerFailed` when they cannot be had."""
    pinned = hashlib.sha256(repr(tuple(sources)).encode()).hexdigest()[:12]
    folder = Path.home() / ".cache" / f"{name}-{pinned}"
    if not folder.is_dir():
        with locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _download(folder, sources)
    return folder


def _download(folder: Path, sources: Sequence[Source]) -> None:
    partial = folder.with_suffix(f".partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        with TemporaryDirectory() as modules:
            environment = {**os.environ, "GOMODCACHE": modules, "GOFLAGS": "-mod=mod -modcacherw"}
            for source in sources:
                command = ("go", "mod", "download", "-json", f"{source.module}@{source.version}")
                done = subprocess.run(command, cwd=modules, env=environment, check=True, capture_output=True, text=True)
                there = Path(json.loads(done.stdout)["Dir"])
                for file in source.files:
                    shutil.copy(there / file, partial)
        partial.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"files of Go modules cannot be had: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
