"""What one installation is: its folder, its addresses, and the environment each service is started with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chapar_client.sdk import ChaparError

OWNERS = ("identity", "messaging", "presence", "payments")
GATEWAY = "gateway"
SERVICES = (*OWNERS, GATEWAY)
"""In the order in which they start; they end the other way round."""

REPLICAS_MAX = 16

ANY_PORT = "127.0.0.1:0"


class ReplicasRefused(ChaparError):
    """So many processes of a service cannot be run. The text is for the operator."""


def replicas_of(text: str) -> dict[str, int]:
    """How many processes each service has, of "gateway=2,messaging=3". Raises `ReplicasRefused`."""
    replicas: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        service, _, count = part.partition("=")
        if service not in SERVICES or not count.isascii() or not count.isdigit():
            raise ReplicasRefused(f"{part} is not one of {', '.join(f'{name}=COUNT' for name in SERVICES)}")
        if not 1 <= int(count) <= REPLICAS_MAX:
            raise ReplicasRefused(f"{service} can have 1 to {REPLICAS_MAX} processes, not {count}")
        replicas[service] = int(count)
    return replicas


def service_of(process: str) -> str:
    """The service that a process is one of: "messaging" of "messaging-2"."""
    return process.partition("-")[0]


def is_gateway(process: str) -> bool:
    """Whether a process is one of the gateways."""
    return service_of(process) == GATEWAY


def replicas(processes: Iterable[str]) -> Sequence[Sequence[str]]:
    """The processes of each service together, in the order given."""
    found: dict[str, list[str]] = {}
    for process in processes:
        found.setdefault(service_of(process), []).append(process)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Installation:
    """One data folder and how its services are started."""

    data_dir: Path
    kafka: str = ""
    """ "host:port" of a broker, or several separated by commas; empty for SQLite journals and streams."""
    kafka_replicas: int = 1
    """Copies of each topic; a broker can hold one of them."""
    mongo: str = ""
    """ "mongodb://host:port/" of a database; empty for SQLite stores and keys."""
    listen: str = ANY_PORT
    """Where clients call the first gateway; further ones listen on any port of the same host."""
    operator_listen: str = ANY_PORT
    """Where operators call the first gateway."""
    partitions: int = 16
    """Of each journal; fixed when the folder is made."""
    replicas: Mapping[str, int] | None = None
    """Service -> how many processes it has; one each unless said otherwise."""
    advertised: Mapping[str, str] | None = None
    """Process -> the address at which others call it, when that is not the one it listens at."""
    extra_environment: Mapping[str, str] | None = None
    """Settings beyond the usual ones, for every service."""

    @property
    def processes(self) -> tuple[str, ...]:
        """All processes by name, in the order in which they start: the first of a service is called as it is."""
        counts = self.replicas or {}
        return tuple(
            service if number == 1 else f"{service}-{number}"
            for service in SERVICES
            for number in range(1, counts.get(service, 1) + 1)
        )

    def check_replicas(self) -> None:
        """Raises `ReplicasRefused` where an owner is to have several processes on files, which have one holder.

        Gateways only read: any number of them can do so.
        """
        several = sorted(name for name, count in (self.replicas or {}).items() if count > 1 and name in OWNERS)
        if several and not (self.kafka and self.mongo):
            raise ReplicasRefused(
                f"several processes of {' and '.join(several)} need --kafka and --mongo: SQLite files have one holder"
            )

    def command(self, service: str, *arguments: str) -> list[str]:
        """The command line of a service or of one of its sub-commands."""
        return [sys.executable, "-m", f"chapar_{service}", *arguments]

    def environment(
        self, process: str, *, listen: str, metrics_listen: str = ANY_PORT, operator_listen: str = ANY_PORT
    ) -> dict[str, str]:
        """The whole environment of a process: nothing of ours leaks in but what Python needs to start."""
        service = service_of(process)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
            "PYTHONUNBUFFERED": "1",
            "CHAPAR_DATA_DIR": str(self.data_dir),
            "CHAPAR_SECRETS_DIR": str(self.data_dir / "secrets" / service),
            "CHAPAR_LISTEN": listen,
            "CHAPAR_METRICS_LISTEN": metrics_listen,
            "CHAPAR_KAFKA": self.kafka,
            "CHAPAR_KAFKA_REPLICAS": str(self.kafka_replicas),
            "CHAPAR_MONGO_URI": self.mongo,
            "CHAPAR_PARTITIONS": str(self.partitions),
            "CHAPAR_LOG_LEVEL": "info",
            "CHAPAR_PARENT_PID": str(os.getpid()),
            "CHAPAR_DEVELOPMENT": "1",
        }
        if service == GATEWAY:
            environment["CHAPAR_OPERATOR_LISTEN"] = operator_listen
        if service == "identity":
            environment["CHAPAR_CODE_DELIVERY"] = "console"
        if advertised := (self.advertised or {}).get(process):
            environment["CHAPAR_ADVERTISE"] = advertised
        return environment | dict(self.extra_environment or {})


_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE")
