"""Kafka's own jars, from Maven Central (`tools/kafka/pom.xml`) into the user's cache, once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.server_process import ServerFailed, locked

VERSION = "4.4.0"
HERE = Path(__file__).resolve().parent / "kafka"


def jars() -> Path:
    """The folder with the broker's jars; gets them through Maven the first time."""
    folder = Path.home() / ".cache" / f"kafka-jars-{VERSION}"
    if not folder.is_dir():
        with locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _download(folder)
    return folder


def _download(folder: Path) -> None:
    partial = folder.with_suffix(f".partial-{os.getpid()}")
    command = ("mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies")
    try:
        subprocess.run((*command, f"-DoutputDirectory={partial}"), check=True)
        partial.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"the broker's jars cannot be had through Maven: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
