"""Builds the services' images on a machine that can pull none: Debian's engine, a base that is bootstrapped once.

    python -m tools.images [SERVICE ...]

builds them and prints one JSON line each. Needs root, `dockerd` and `debootstrap` (apt: docker.io, debootstrap). A base
stands in for `python:slim`: Debian with its Python and no compiler. It carries this machine's certificate authorities,
so that pip works inside: these images are for looking at, never for shipping.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.charts.helm import SERVICES
from tools.server_process import ServerFailed, ServerProcess, locked

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path.home() / ".cache"
SUITE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"
BASE = f"local/python:{SUITE}-slim"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TAG = "0.1.0"
START_DEADLINE_S = 60.0


class Engine:
    """A Docker engine of our own, on a socket of its own, without a bridge: it touches no network of the machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = f"unix://{folder / 'docker.sock'}"
        self._process = ServerProcess("dockerd", folder / "dockerd.log")

    def start(self) -> None:
        """Starts it. Raises `ServerFailed`."""
        program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if program is None:
            raise ServerFailed("there is no dockerd: apt-get install docker.io debootstrap")
        self._folder.mkdir(parents=True, exist_ok=True)
        where = ("--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "exec"))
        apart = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=overlay2")
        pid = ("--pidfile", str(self._folder / "docker.pid"))
        self._process.start((program, *where, "--host", self._socket, *apart, *pid))
        deadline = time.monotonic() + START_DEADLINE_S
        while self.run("version", check=False).returncode:
            if self._process.ended or time.monotonic() > deadline:
                said = self._process.said[-2000:]
                self.stop()
                raise ServerFailed(f"dockerd did not start: {said}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends it, and with it all that runs in it."""
        self._process.end(signal.SIGTERM)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker ARGUMENTS`. Raises `ServerFailed` with what it said, unless told otherwise."""
        environment = {**os.environ, "DOCKER_HOST": self._socket, "DOCKER_BUILDKIT": "0"}
        command = ("docker", *arguments)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise ServerFailed(f"docker {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def build(self, service: str) -> str:
        """Builds a service's image; returns its name."""
        if not self.run("images", "--quiet", BASE).stdout.strip():
            self._import_base()
        image = f"chapar/{service}:{TAG}"
        file = f"services/{service}/Dockerfile"
        self.run("build", "--network=host", "--build-arg", f"BASE={BASE}", "--file", file, "--tag", image, ".")
        return image

    def _import_base(self) -> None:
        archive = base_archive()
        self.run("import", str(archive), BASE)


@contextmanager
def engine(folder: Path | None = None) -> Iterator[Engine]:
    """A running engine, which keeps what it built in the user's cache; one at a time."""
    folder = folder or CACHE / "chapar-docker"
    with locked(folder.with_suffix(".lock")):
        running = Engine(folder)
        running.start()
        try:
            yield running
        finally:
            running.stop()


def base_archive() -> Path:
    """The base as an archive; made by debootstrap the first time."""
    archive = CACHE / f"chapar-base-{SUITE}.tar"
    if not archive.exists():
        with locked(archive.with_suffix(".lock")):
            if not archive.exists():
                _bootstrap(archive)
    return archive


def _bootstrap(archive: Path) -> None:
    root, partial = archive.with_suffix(f".root-{os.getpid()}"), archive.with_suffix(f".partial-{os.getpid()}")
    path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        made = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root))
        subprocess.run(made, env=path, check=True, stdout=subprocess.DEVNULL)
        shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
        shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
        subprocess.run(("tar", "--directory", str(root), "--create", "--file", str(partial), "."), check=True)
        partial.rename(archive)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"the base cannot be bootstrapped: {error}") from error
    finally:
        shutil.rmtree(root, ignore_errors=True)
        partial.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Builds what the command line names."""
    parser = argparse.ArgumentParser(description="Build the services' images without a registry of images.")
    parser.add_argument("services", nargs="*", help=f"of {', '.join(SERVICES)}; all of them by default")
    chosen = parser.parse_args(arguments).services or list(SERVICES)
    with engine() as running:
        for service in chosen:
            begun = time.monotonic()
            image = running.build(service)
            size = int(running.run("image", "inspect", "--format", "{{.Size}}", image).stdout)
            row = {"image": image, "megabytes": size // 1_000_000, "seconds": round(time.monotonic() - begun, 1)}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
