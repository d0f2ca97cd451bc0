"""How the brokers of one installation know each other: numbers, ports, ids. Decided when it is made, kept in a file."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tools.server_process import ServerFailed, free_ports


@dataclass(frozen=True, slots=True)
class Node:
    """One broker with its controller, as the others know it."""

    port: int
    controller_port: int
    directory_id: str
    """Of its folder, given when that is formatted."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """All brokers of an installation, numbered from 1: each knows them from its format on."""

    cluster_id: str
    nodes: Sequence[Node]

    @classmethod
    def new(cls, *ports: int | None) -> Self:
        """One for each port; any free one where that is None."""
        free = free_ports(*ports, *[None] * len(ports))
        pairs = zip(free[: len(ports)], free[len(ports) :], strict=True)
        return cls(_random_id(), [Node(port, controller_port, _random_id()) for port, controller_port in pairs])

    @classmethod
    def kept(cls, file: Path, count: int) -> Self:
        """Those that the file names; new ones are written there. Raises `ServerFailed` when it names more or fewer."""
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(asdict(cls.new(*[None] * count))), "utf-8")
        found = json.loads(file.read_text("utf-8"))
        if len(found["nodes"]) != count:
            raise ServerFailed(f"{file.parent} is of {len(found['nodes'])} brokers, not of {count}")
        return cls(found["cluster_id"], [Node(**node) for node in found["nodes"]])

    @property
    def controllers(self) -> str:
        """Where they find each other."""
        return ",".join(f"127.0.0.1:{node.controller_port}" for node in self.nodes)

    @property
    def voters(self) -> str:
        """As the format of a folder takes them."""
        return ",".join(
            f"{number}@127.0.0.1:{node.controller_port}:{node.directory_id}"
            for number, node in enumerate(self.nodes, 1)
        )


def _random_id() -> str:
    """A UUID as Kafka writes it, which must not begin like an option."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A", 1)
