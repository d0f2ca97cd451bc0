"""Kafka's own jars, and those of an exporter that runs inside of it, from Maven Central (`tools/kafka`) into the user's
cache, once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.server_process import ServerFailed, locked

VERSION = "4.4.0"
EXPORTER_VERSION = "1.0.1"
HERE = Path(__file__).resolve().parent / "kafka"


def jars() -> Path:
    """The folder with the broker's jars; gets them through Maven the first time."""
    return _folder_of("pom.xml", f"kafka-jars-{VERSION}")


def exporter() -> Path:
    """The jar of Prometheus' JMX exporter, a Java agent; got as the others are."""
    (jar,) = _folder_of("exporter.xml", f"kafka-exporter-{EXPORTER_VERSION}").glob("*.jar")
    return jar


def _folder_of(pom: str, name: str) -> Path:
    folder = Path.home() / ".cache" / name
    if not folder.is_dir():
        with locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _download(folder, HERE / pom)
    return folder


def _download(folder: Path, pom: Path) -> None:
    partial = folder.with_suffix(f".partial-{os.getpid()}")
    command = ("mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies")
    try:
        subprocess.run((*command, f"-DoutputDirectory={partial}"), check=True)
        partial.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"jars cannot be had through Maven: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
