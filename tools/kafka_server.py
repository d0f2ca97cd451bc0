"""Real Kafka brokers on this machine, for development and tests.

A broker is one process with its own controller (KRaft), listens on loopback only, and keeps everything in one folder:
started again there, it goes on. `KafkaServer` is one of them, `KafkaCluster` several that replicate to each other.

    python -m tools.kafka_server run --dir FOLDER [--port PORT | --brokers 3]

prints one JSON line when all are ready and stops them on Ctrl-C. Tests use the classes as context managers.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.certificates import make_certificate
from tools.kafka_jars import HERE, jars
from tools.kafka_nodes import Nodes
from tools.server_process import ServerFailed, ServerProcess, answers, free_ports

READY = "Kafka Server started"
START_DEADLINE_S = 120.0
JAVA = (
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}",
)
HEAP_MIB = 512
HEAP_MIB_OF_SEVERAL = 256


class KafkaServer:
    """One broker that keeps its data in `folder`; its address stays the same over restarts.

    With `users` (name -> password) it talks TLS only, to those users, and denies them everything that no rule allows;
    the user "admin" may do everything. Clients believe it by the certificate in `ca`.
    Alone it needs no `nodes`; otherwise it is the one with this number. With `advertised` clients are told to call
    that port, behind which somebody passes on what comes; other brokers call it directly.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, users: Mapping[str, str] | None = None,
        nodes: Nodes | None = None, number: int = 1, advertised: int | None = None,
        java_options: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._folder = folder
        self._java_options = java_options
        self._users = dict(users or {})
        self._nodes = nodes or Nodes.new(port)
        self._number = number
        self._node = self._nodes.nodes[number - 1]
        self._advertised = advertised or self._node.port
        (self._peer_port,) = free_ports(None)
        self._process = ServerProcess(f"broker {number}", folder / "broker.log")

    @property
    def bootstrap(self) -> str:
        """ "host:port" for clients."""
        return f"127.0.0.1:{self._advertised}"

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1, whatever clients are told."""
        return self._node.port

    @property
    def ca(self) -> Path:
        """The PEM file of the broker's own certificate, made with its folder."""
        return self._folder / "ca.pem"

    @property
    def pid(self) -> int:
        """The broker's process."""
        return self._process.pid

    @property
    def said(self) -> str:
        """What it has written since it was last started."""
        return self._process.said

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended by us."""
        return self._process.runs

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.ended

    def start(self) -> Self:
        """Formats the folder if it is new, starts the broker and returns once it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        heap_mib = HEAP_MIB if len(self._nodes.nodes) == 1 else HEAP_MIB_OF_SEVERAL
        java = (*JAVA, f"-Xmx{heap_mib}m", "-cp", f"{jars()}/*")
        if self._users and not self.ca.exists():
            make_certificate(self._folder / "broker.pem", self.ca)
        self._configure()
        if not (self._folder / "data" / "meta.properties").exists():
            self._format(java)
        self._process.start((*java, *self._java_options, "kafka.Kafka", str(self._properties)))
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
        if self.runs:
            self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.runs:
            self.stop()

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _configure(self) -> None:
        protocol = "SASL_SSL" if self._users else "PLAINTEXT"
        single = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        settings = {
            "process.roles": "broker,controller",
            "node.id": str(self._number),
            **self._listeners(protocol),
            "controller.quorum.bootstrap.servers": self._nodes.controllers,
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

    def _listeners(self, protocol: str) -> dict[str, str]:
        own = f"{protocol}://127.0.0.1:{self.port}"
        controller = f"CONTROLLER://127.0.0.1:{self._node.controller_port}"
        protocols = f"{protocol}:{protocol},CONTROLLER:PLAINTEXT"
        told = f"{protocol}://{self.bootstrap}"
        listeners = {"controller.listener.names": "CONTROLLER"}
        if self._advertised != self.port:
            between = f"BROKERS://127.0.0.1:{self._peer_port}"
            own, told, protocols = f"{own},{between}", f"{told},{between}", f"{protocols},BROKERS:PLAINTEXT"
            listeners["inter.broker.listener.name"] = "BROKERS"
        return listeners | {
            "listeners": f"{own},{controller}",
            "advertised.listeners": told,
            "listener.security.protocol.map": protocols,
        }

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
        scram = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in self._users.items()]
        users = [word for one in scram for word in ("--add-scram", one)]
        cluster = ("-t", self._nodes.cluster_id, "--initial-controllers", self._nodes.voters)
        arguments = ("format", *cluster, "-c", str(self._properties), *users)
        done = subprocess.run(
            (*java, "kafka.tools.StorageTool", *arguments), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ServerFailed(f"the folder cannot be formatted: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not (READY in self._process.said and answers(self._node.port)):
            if self._process.ended or time.monotonic() > deadline:
                self.kill9()
                raise ServerFailed(f"broker {self._number} did not start: {self._process.said[-4000:]}")
            time.sleep(0.1)


class KafkaCluster:
    """Several brokers, numbered from 1, each with a folder of its own in `folder`.

    More than half of them must run: they elect who controls. Their addresses stay the same as long as the folder is
    there. With `advertised` (number -> port) clients are told to call these ports.
    """

    def __init__(self, folder: Path, brokers: int = 3, *, advertised: Mapping[int, int] | None = None) -> None:
        nodes, told = Nodes.kept(folder / "nodes.json", brokers), advertised or {}
        self._brokers = {
            n: KafkaServer(folder / f"{n}", nodes=nodes, number=n, advertised=told.get(n))
            for n in range(1, brokers + 1)
        }

    @property
    def bootstrap(self) -> str:
        """ "host:port,host:port" for clients."""
        return ",".join(broker.bootstrap for broker in self._brokers.values())

    def broker(self, number: int) -> KafkaServer:
        """One of them."""
        return self._brokers[number]

    @property
    def pids(self) -> Sequence[int]:
        """The brokers' processes; all must run."""
        return [broker.pid for broker in self._brokers.values()]

    def start(self) -> Self:
        """Starts all of them at once, as none serves before more than half do."""
        try:
            with ThreadPoolExecutor(len(self._brokers)) as pool:
                for starting in [pool.submit(broker.start) for broker in self._brokers.values()]:
                    starting.result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends all that run, in good order as long as enough are left to agree upon it."""
        running = [broker for broker in self._brokers.values() if broker.runs]
        for left, broker in zip(range(len(running), 0, -1), running, strict=True):
            if left > len(self._brokers) // 2:
                broker.stop()
            else:
                broker.kill9()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _run(folder: Path, port: int | None, brokers: int) -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with KafkaServer(folder, port=port) if brokers == 1 else KafkaCluster(folder, brokers) as servers:
        pids = [servers.pid] if isinstance(servers, KafkaServer) else servers.pids
        print(json.dumps({"event": "ready", "address": servers.bootstrap, "pids": pids}), flush=True)
        ended.wait()


def main() -> None:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description="Kafka brokers for development and tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run brokers until Ctrl-C")
    run.add_argument("--dir", type=Path, required=True, help="folder for their data; kept between runs")
    run.add_argument("--port", type=int, help="of a broker alone, on 127.0.0.1; any free one by default")
    run.add_argument("--brokers", type=int, default=1, choices=range(1, 10), help="that replicate to each other")
    commands.add_parser("jars", help="only get the jars")
    arguments = parser.parse_args()
    if arguments.command == "jars":
        print(jars())
    elif arguments.port and arguments.brokers > 1:
        parser.error("several brokers keep the ports that they were given at first")
    else:
        _run(arguments.dir, arguments.port, arguments.brokers)


if __name__ == "__main__":
    main()
