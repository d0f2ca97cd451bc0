"""Settings: one frozen dataclass a service, built from an explicit mapping, all problems reported at once.

A service extends `CommonSettings`; a field says which variable it is read from and how:

    @dataclass(frozen=True, kw_only=True)
    class IdentitySettings(CommonSettings):
        code_delivery: Annotated[str, Variable("CHAPAR_CODE_DELIVERY", one_of("console", "webhook"))] = "console"

A field without a default must be set and not empty; an unset or empty variable otherwise means the default.

Only `__main__` passes `os.environ`. Secrets are not settings: they are files (`secrets`).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, get_type_hints

from chapar_sourcing.partitions import SLOTS


class SettingsInvalid(Exception):
    """Settings cannot be used. `problems` has one line each; the text is all of them in one line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Variable:
    """Where a field comes from. `parse` raises `ValueError` with what is expected, such as "a number from 1 to 9"."""

    name: str
    parse: Callable[[str], Any]


class Address(NamedTuple):
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def text(value: str) -> str:
    """Any text."""
    return value


def path(value: str) -> Path:
    """An absolute path."""
    if not Path(value).is_absolute():
        raise ValueError("an absolute path")
    return Path(value)


def address(value: str) -> Address:
    """ "host:port" or "[host]:port", port 0 to 65535."""
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError('"host:port"')
    return Address(host, int(port))


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(value)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value

    return parse


def flag(value: str) -> bool:
    """ "1" or "0"."""
    if value not in ("0", "1"):
        raise ValueError("0 or 1")
    return value == "1"


def brokers(value: str) -> str:
    """Addresses of Kafka brokers, separated by commas; a port of 0 makes no sense there."""
    for one in value.split(","):
        try:
            port = address(one).port
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError('"host:port", or several of them separated by commas')
    return value


def collector(value: str) -> Address:
    """ "host:port", no URL; a port of 0 makes no sense there."""
    found = address(value)
    if found.port == 0 or "/" in value:
        raise ValueError('"host:port"')
    return found


MONGO_SCHEME = "mongodb://"
DATABASE_NAME_MAX = 32


def mongo_uri(value: str) -> str:
    """ "mongodb://host:port,host:port/?options"; who we are is no part of it."""
    hosts, _, _ = value.removeprefix(MONGO_SCHEME).partition("/")
    if not value.startswith(MONGO_SCHEME) or not hosts or "@" in value:
        raise ValueError('"mongodb://host:port/?options", or several hosts separated by commas, without a user')
    brokers(hosts)
    return value


def database_name(value: str) -> str:
    """Small letters, digits and underscores."""
    if not value.isascii() or not value.replace("_", "a").isalnum() or value != value.lower():
        raise ValueError("small letters, digits and underscores")
    if len(value) > DATABASE_NAME_MAX:
        raise ValueError(f"at most {DATABASE_NAME_MAX} characters")
    return value


ANY_LOOPBACK_PORT = Address("127.0.0.1", 0)


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every service reads."""

    data_dir: Annotated[Path, Variable("CHAPAR_DATA_DIR", path)]
    secrets_dir: Annotated[Path, Variable("CHAPAR_SECRETS_DIR", path)]
    """This service's own folder of secrets."""
    listen: Annotated[Address, Variable("CHAPAR_LISTEN", address)] = ANY_LOOPBACK_PORT
    metrics_listen: Annotated[Address, Variable("CHAPAR_METRICS_LISTEN", address)] = ANY_LOOPBACK_PORT
    health_listen: Annotated[Address | None, Variable("CHAPAR_HEALTH_LISTEN", address)] = None
    """Where health checks, and nothing else, are answered in the clear as well: probes that speak no TLS come here."""
    advertise: Annotated[Address | None, Variable("CHAPAR_ADVERTISE", address)] = None
    """Where other processes reach this one; without it where it listens. Port 0 means the port it listens on."""
    tls_cert: Annotated[Path | None, Variable("CHAPAR_TLS_CERT", path)] = None
    """A PEM file of the certificate that proves to peers which service this is, see `tls`; with key and authority."""
    tls_key: Annotated[Path | None, Variable("CHAPAR_TLS_KEY", path)] = None
    tls_ca: Annotated[Path | None, Variable("CHAPAR_TLS_CA", path)] = None
    """A PEM file of the authority that signs the certificates of all processes of the installation."""
    kafka: Annotated[str, Variable("CHAPAR_KAFKA", brokers)] = ""
    """Empty: journals and streams are SQLite files of the data folder."""
    kafka_replicas: Annotated[int, Variable("CHAPAR_KAFKA_REPLICAS", whole_number(1, 9))] = 3
    """How many copies the topics must have, all but one of them in sync; fewer are refused at the start."""
    kafka_user: Annotated[str, Variable("CHAPAR_KAFKA_USER", text)] = ""
    """Who this process is to the brokers, over TLS by SCRAM with the secret `kafka.password`; empty: nobody, and
    nothing is encrypted, for brokers of this machine."""
    kafka_ca: Annotated[Path | None, Variable("CHAPAR_KAFKA_CA", path)] = None
    """A PEM file of the certificates that brokers' own must be signed by; without it those of the system."""
    mongo_uri: Annotated[str, Variable("CHAPAR_MONGO_URI", mongo_uri)] = ""
    """Empty: stores and keys are SQLite files of the data folder."""
    mongo_database: Annotated[str, Variable("CHAPAR_MONGO_DATABASE", database_name)] = "chapar"
    """Each service has a database of its own, whose name begins so and ends with the service's."""
    mongo_user: Annotated[str, Variable("CHAPAR_MONGO_USER", text)] = ""
    """Who this process is to the database, over TLS by SCRAM with the secret `mongo.password`; empty: nobody, and
    nothing is encrypted, for a server of this machine."""
    mongo_ca: Annotated[Path | None, Variable("CHAPAR_MONGO_CA", path)] = None
    """A PEM file of the certificates that the servers' own must be signed by; without it those of the system."""
    otlp: Annotated[Address | None, Variable("CHAPAR_OTLP", collector)] = None
    """An OpenTelemetry collector that speaks OTLP over gRPC; without one nothing is traced. On another machine it is
    spoken to over TLS, and shown the certificate of `tls_cert`; in the clear in development alone."""
    otlp_ca: Annotated[Path | None, Variable("CHAPAR_OTLP_CA", path)] = None
    """A PEM file of the certificates that the collector's own must be signed by; without it those that gRPC brings."""
    partitions: Annotated[int, Variable("CHAPAR_PARTITIONS", whole_number(1, SLOTS))] = 16
    schema_level: Annotated[int, Variable("CHAPAR_SCHEMA_LEVEL", whole_number(1, 1_000_000))] = 1
    """The level that an operator has raised this service's logs to; they are never lowered. Owners alone use it."""
    log_level: Annotated[str, Variable("CHAPAR_LOG_LEVEL", one_of("debug", "info", "warning", "error"))] = "info"
    development: Annotated[bool, Variable("CHAPAR_DEVELOPMENT", flag)] = False
    """Serves reflection."""
    parent_pid: Annotated[int, Variable("CHAPAR_PARENT_PID", whole_number(1, 2**31 - 1))] = 0
    """The process that started this one, and without which it ends; 0 for none."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The settings, or `SettingsInvalid` with all problems at once. Values are not repeated in problems."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        required = {field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING}
        for name, variable in _variables(cls).items():
            given = environ.get(variable.name, "").strip()
            try:
                if given:
                    values[name] = variable.parse(given)
                elif name in required:
                    problems.append(f"{variable.name} must be set")
            except ValueError as expected:
                problems.append(f"{variable.name} must be {expected}")
        if problems:
            raise SettingsInvalid(problems)
        settings = cls(**values)
        if problems := settings.problems():
            raise SettingsInvalid(problems)
        return settings

    def problems(self) -> list[str]:
        """What is wrong between several fields; extended by services, with what `super()` says in front."""
        found = self.listening_problems()
        given = (self.tls_cert, self.tls_key, self.tls_ca)
        if any(given) and not all(given):
            found.append("CHAPAR_TLS_CERT, CHAPAR_TLS_KEY and CHAPAR_TLS_CA must be set together")
        if self.kafka and not self.kafka_user and not all(map(_is_here, self.kafka.split(","))):
            found.append("CHAPAR_KAFKA_USER must be set for brokers of other machines: nothing is sent in the clear")
        hosts = self.mongo_uri.removeprefix(MONGO_SCHEME).partition("/")[0]
        if hosts and not self.mongo_user and not all(map(_is_here, hosts.split(","))):
            found.append("CHAPAR_MONGO_USER must be set for a database of other machines: nothing is sent in the clear")
        return found

    def listening_problems(self) -> list[str]:
        """What is wrong with where it listens for peers; the gateway listens for others."""
        found = []
        if self.tls_cert is None and not self.development and not is_loopback(self.listen.host):
            found.append("CHAPAR_TLS_CERT must be set to listen beyond this machine: nothing is sent in the clear")
        if self.advertise is None and is_everywhere(self.listen.host):
            found.append(f"CHAPAR_ADVERTISE must be set: {self.listen.host} is no address that others reach")
        return found

    def advertised(self, bound: Address) -> Address:
        """Where others reach this process, which listens at `bound`."""
        if self.advertise is None:
            return bound
        return Address(self.advertise.host, self.advertise.port or bound.port)

    @property
    def peer_files(self) -> tuple[Path, Path, Path] | None:
        """Certificate, key and authority, where processes prove to each other who they are."""
        if self.tls_cert is None or self.tls_key is None or self.tls_ca is None:
            return None
        return self.tls_cert, self.tls_key, self.tls_ca


def _is_here(broker: str) -> bool:
    return is_loopback(address(broker).host)


def is_everywhere(host: str) -> bool:
    """Whether it stands for all addresses of a machine, however it is written."""
    for family, all_zeros in ((socket.AF_INET, bytes(4)), (socket.AF_INET6, bytes(16))):
        with suppress(OSError):
            if (socket.inet_aton(host) if family is socket.AF_INET else socket.inet_pton(family, host)) == all_zeros:
                return True
    return host == "::ffff:0.0.0.0"


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _variables(cls: type[CommonSettings]) -> dict[str, Variable]:
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in dataclasses.fields(cls)}
