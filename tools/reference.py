"""Writes `docs/reference/api.md`: every RPC with its options and every refusal reason, from the descriptors."""

from __future__ import annotations

import re
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from chapar.gateway.v1 import gateway_pb2
from chapar.identity.v1 import identity_pb2
from chapar.messaging.v1 import messaging_pb2
from chapar.options.v1 import options_pb2 as options
from chapar.payments.v1 import payments_pb2

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference" / "api.md"
FILES = (gateway_pb2, identity_pb2, messaging_pb2, payments_pb2)
HEAD = """# RPCs and refusal reasons

Made from the protos by `make verify`; not edited by hand.
"""


def comment_of(proto: Path, name: str) -> str:
    """The comment above a definition in the proto, as one line."""
    lines = proto.read_text().splitlines()
    pattern = re.compile(rf"\s*(rpc )?{re.escape(name)}\b\s*[(=]")
    at = next((i for i, line in enumerate(lines) if pattern.match(line)), 0)
    found: list[str] = []
    while at > 0 and lines[at - 1].strip().startswith("//"):
        at -= 1
        found.insert(0, lines[at].strip().removeprefix("//").strip())
    return " ".join(found)


def short(enum: str, number: int, prefix: str) -> str:
    """An enum value without its prefix, lower case."""
    value: str = options.DESCRIPTOR.enum_types_by_name[enum].values_by_number[number].name
    return value.removeprefix(prefix).lower()


def method_row(method: MethodDescriptor, proto: Path) -> str:
    """One line of the table of RPCs."""
    option = method.GetOptions().Extensions[options.method]
    which = option.routing.WhichOneof("key")
    key = {"session_user": "the session's user", "local": "-"}.get(which or "", "")
    key = key or f"`{getattr(option.routing, which or 'field')}`"
    cells = [
        f"`{method.name}`",
        short("Audience", option.audience, "AUDIENCE_"),
        key,
        short("Priority", option.priority, "PRIORITY_").upper(),
        "yes" if option.mutating else "no",
        comment_of(proto, method.name),
    ]
    return f"| {' | '.join(cells)} |"


def section(file: FileDescriptor) -> list[str]:
    """The tables of one proto file."""
    proto = ROOT / "protos" / file.name
    out = [f"\n## {file.package}\n"]
    for service in file.services_by_name.values():
        out += [
            f"### {service.name}\n",
            "| RPC | audience | key | shed | changes | meaning |",
            "|---|---|---|---|---|---|",
        ]
        out += [method_row(method, proto) for method in service.methods] + [""]
    if "Reason" in file.enum_types_by_name:
        out += ["### Reasons\n", "| reason | status | meaning |", "|---|---|---|"]
        for value in file.enum_types_by_name["Reason"].values[1:]:
            status = short("StatusCode", value.GetOptions().Extensions[options.status], "STATUS_CODE_").upper()
            out.append(f"| `{value.name}` | {status} | {comment_of(proto, value.name)} |")
    return out


def main() -> None:
    """Writes the page."""
    lines = [HEAD]
    for module in FILES:
        lines += section(module.DESCRIPTOR)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
