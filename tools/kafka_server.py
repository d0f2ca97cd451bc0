"""A real Kafka broker on this machine, for development and tests.

Its jars come from Maven Central (`tools/kafka/pom.xml`) into the user's cache, once. A broker is one process with its
own controller (KRaft), listens on loopback only, and keeps everything in one folder: started again there, it goes on.

    python -m tools.kafka_server run --dir FOLDER [--port PORT]

prints one JSON line when it is ready and stops the broker on Ctrl-C. Tests use `KafkaServer` as a context manager.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.certificates import make_certificate
from tools.server_process import ServerFailed, ServerProcess, answers, free_ports, locked

VERSION = "4.4.0"
HERE = Path(__file__).resolve().parent / "kafka"
READY = "Kafka Server started"
START_DEADLINE_S = 120.0
JAVA = (
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}",
)


class KafkaServer:
    """One broker that keeps its data in `folder`; its address stays the same over restarts.

    With `users` (name -> password) it talks TLS only, to those users, and denies them everything that no rule allows;
    the user "admin" may do everything. Clients believe it by the certificate in `ca`.
    """

    def __init__(self, folder: Path, *, port: int | None = None, users: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._users = dict(users or {})
        self._port, self._controller_port = free_ports(port, None)
        self._process = ServerProcess("the broker", folder / "broker.log")

    @property
    def bootstrap(self) -> str:
        """ "host:port" for clients."""
        return f"127.0.0.1:{self._port}"

    @property
    def ca(self) -> Path:
        """The PEM file of the broker's own certificate, made with its folder."""
        return self._folder / "ca.pem"

    @property
    def pid(self) -> int:
        """The broker's process."""
        return self._process.pid

    def start(self) -> Self:
        """Formats the folder if it is new, starts the broker and returns once it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        java = (*JAVA, "-cp", f"{jars()}/*")
        if self._users and not self.ca.exists():
            make_certificate(self._folder / "broker.pem", self.ca)
        self._configure()
        if not (self._folder / "data" / "meta.properties").exists():
            self._format(java)
        self._process.start((*java, "kafka.Kafka", str(self._properties)))
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Ends the broker in good order."""
        self._process.end(signal.SIGTERM)

    def kill9(self) -> None:
        """Ends the broker at once, as a crash does."""
        self._process.end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops the broker where it is: connections stay open, and nobody answers once this has returned."""
        self._process.pause()

    def resume(self) -> None:
        """Lets it go on."""
        self._process.resume()

    def restart(self) -> None:
        """Starts the broker again on its folder and address, after `kill9` or a `stop` of its own."""
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

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _configure(self) -> None:
        protocol = "SASL_SSL" if self._users else "PLAINTEXT"
        single = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"{protocol}://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"{protocol}://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": f"{protocol}:{protocol},CONTROLLER:PLAINTEXT",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            "unclean.leader.election.enable": "false",
            # With its default of 10 MiB each first write to a partition costs 13 ms.
            "log.index.size.max.bytes": str(1024 * 1024),
            # A killed broker comes back once its last session has ended.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            **(self._secured() if self._users else {}),
            **{f"{topic}.replication.factor": "1" for topic in single},
            **{f"{topic}.min.isr": "1" for topic in single[1:]},
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _secured(self) -> dict[str, str]:
        login = "org.apache.kafka.common.security.scram.ScramLoginModule"
        return {
            "security.inter.broker.protocol": "SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                f'{login} required username="admin" password="{self._users["admin"]}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The controller's listener knows nobody; it is on loopback and of this process alone.
            "super.users": "User:admin;User:ANONYMOUS",
        }

    def _format(self, java: tuple[str, ...]) -> None:
        cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A", 1)
        scram = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in self._users.items()]
        users = [word for one in scram for word in ("--add-scram", one)]
        arguments = ("format", "--standalone", "-t", cluster_id, "-c", str(self._properties), *users)
        done = subprocess.run(
            (*java, "kafka.tools.StorageTool", *arguments), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ServerFailed(f"the folder cannot be formatted: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not (READY in self._process.said and answers(self._port)):
            if self._process.ended or time.monotonic() > deadline:
                self.kill9()
                raise ServerFailed(f"the broker did not start: {self._process.said[-4000:]}")
            time.sleep(0.1)


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


def _run(folder: Path, port: int | None) -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with KafkaServer(folder, port=port) as server:
        print(json.dumps({"event": "ready", "address": server.bootstrap, "pid": server.pid}), flush=True)
        ended.wait()


def main() -> None:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description="A Kafka broker for development and tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a broker until Ctrl-C")
    run.add_argument("--dir", type=Path, required=True, help="folder for its data; kept between runs")
    run.add_argument("--port", type=int, help="port on 127.0.0.1; any free one by default")
    commands.add_parser("jars", help="only get the jars")
    arguments = parser.parse_args()
    if arguments.command == "jars":
        print(jars())
    else:
        _run(arguments.dir, arguments.port)


if __name__ == "__main__":
    main()
