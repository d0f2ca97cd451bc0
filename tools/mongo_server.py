"""A server of MongoDB's protocol on this machine, for development and tests.

No registry has mongod. SecantusDB speaks its protocol on WiredTiger and comes from PyPI; as it is licensed otherwise
than we are (GPL-2.0), it is never imported, linked or shipped: it runs as a process of its own, from an environment of
its own in the user's cache, which `tools/mongo/requirements.lock` pins. It is no measure of MongoDB's speed.

    python -m tools.mongo_server run --dir FOLDER [--port PORT]

prints one JSON line when it is ready and stops the server on Ctrl-C. Tests use `MongoServer` as a context manager.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymongo
from pymongo.errors import PyMongoError

from tools.apart import environment
from tools.certificates import make_certificate
from tools.server_process import ServerFailed, ServerProcess, free_ports

LOCK = Path(__file__).resolve().parent / "mongo" / "requirements.lock"
START_DEADLINE_S = 60.0


class MongoServer:
    """One server that keeps its data in `folder`; its address stays the same over restarts.

    With `user` and `password` it talks TLS only, to that user. Clients believe it by the certificate in `ca`.
    """

    def __init__(self, folder: Path, *, port: int | None = None, user: str = "", password: str = "") -> None:
        self._folder = folder
        (self._port,) = free_ports(port)
        self._user = user
        self._password = password
        self._process = ServerProcess("the database", folder / "database.log")

    @property
    def address(self) -> str:
        """ "host:port"."""
        return f"127.0.0.1:{self._port}"

    @property
    def uri(self) -> str:
        """For clients, without a user."""
        return mongo_uri(self._port)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._port

    @property
    def ca(self) -> Path:
        """The PEM file of the server's own certificate, made with its folder."""
        return self._folder / "ca.pem"

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def start(self) -> Self:
        """Starts the server and returns once it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._user and not (self._folder / "data").exists():
            self._launch(())
            with self._client() as client:
                client.admin.command("createUser", self._user, pwd=self._password, roles=["root"])
            self.stop()
            make_certificate(self._keys, self.ca)
        guards = ("--auth", "--tls-cert-file", str(self._keys), "--tls-key-file", str(self._keys))
        self._launch(guards if self._user else ())
        return self

    def stop(self) -> None:
        """Ends the server in good order."""
        self._process.end(signal.SIGTERM)

    def kill9(self) -> None:
        """Ends the server at once, as a crash does."""
        self._process.end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops the server where it is: connections stay open, and nobody answers once this has returned."""
        self._process.pause()

    def resume(self) -> None:
        """Lets it go on."""
        self._process.resume()

    def restart(self) -> None:
        """Starts the server again on its folder and address, after `kill9` or a `stop` of its own."""
        if self._process.runs:
            self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.runs:
            self.stop()

    def _launch(self, options: tuple[str, ...]) -> None:
        at = ("--host", "127.0.0.1", "--port", str(self._port), "--storage-path", str(self._folder / "data"))
        bounds = ("--cache-size", "256M", "--log-level", "WARNING")
        self._process.start((str(program()), *at, *bounds, *options))
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers(tls=bool(options)):
            if self._process.ended or time.monotonic() > deadline:
                self.kill9()
                raise ServerFailed(f"the database did not start: {self._process.said[-4000:]}")
            time.sleep(0.1)

    @property
    def _keys(self) -> Path:
        return self._folder / "server.pem"

    def _answers(self, *, tls: bool) -> bool:
        """Whether it greets a client; no user is needed for that."""
        trusted = {"tls": True, "tlsCAFile": str(self.ca)} if tls else {}
        with self._client(**trusted) as client:
            try:
                client.admin.command("hello")
            except PyMongoError:
                return False
        return True

    def _client(self, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=1_000, **options)


def mongo_uri(port: int) -> str:
    """For clients of a server on 127.0.0.1, without a user."""
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


def program() -> Path:
    """The server; gets it the first time."""
    return environment("secantus", LOCK) / "bin" / "secantusd-py"


def _run(folder: Path, port: int | None) -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with MongoServer(folder, port=port) as server:
        print(json.dumps({"event": "ready", "address": server.uri, "pid": server.pid}), flush=True)
        ended.wait()


def main() -> None:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description="A server of MongoDB's protocol for development and tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a server until Ctrl-C")
    run.add_argument("--dir", type=Path, required=True, help="folder for its data; kept between runs")
    run.add_argument("--port", type=int, help="port on 127.0.0.1; any free one by default")
    commands.add_parser("install", help="only get the server")
    arguments = parser.parse_args()
    if arguments.command == "install":
        print(program().parent.parent)
    else:
        _run(arguments.dir, arguments.port)


if __name__ == "__main__":
    main()
