"""Generates `libs/contracts` from `protos/`: messages, gRPC stubs and their type stubs.

The output is made in a temporary folder and then put in place whole, so that a broken proto changes nothing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
TARGET = ROOT / "libs" / "contracts" / "src" / "chapar"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(out: Path) -> None:
    """Runs protoc over every proto of the tree."""
    sources = sorted(str(p.relative_to(PROTOS)) for p in PROTOS.rglob("*.proto"))
    bin_folder = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{WELL_KNOWN}",
        f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources,
    ]
    if protoc.main(arguments):
        sys.exit("proto: protoc refused; the lines above say why")
    for stub in out.rglob("*_pb2_grpc.py*"):
        if (
            "service "
            not in (PROTOS / stub.relative_to(out)).with_name(stub.name.split("_pb2_grpc")[0] + ".proto").read_text()
        ):
            stub.unlink()
    for folder in [out / "chapar", *(p for p in (out / "chapar").rglob("*") if p.is_dir())]:
        (folder / "__init__.py").write_text("")
    (out / "chapar" / "py.typed").write_text("")
    (out / "chapar" / "__init__.py").write_text('"""Generated from protos/ by `make proto`; never edited."""\n')


def put_in_place(made: Path) -> None:
    """Writes what differs and removes what is no longer made, so that an unchanged tree stays untouched."""
    wanted = {p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    for relative, content in wanted.items():
        path = TARGET / relative
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in [p for p in TARGET.rglob("*") if p.is_file() and "__pycache__" not in p.parts]:
        if path.relative_to(TARGET) not in wanted:
            path.unlink()


def main() -> None:
    """Regenerates the contracts."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        put_in_place(Path(scratch) / "chapar")


if __name__ == "__main__":
    main()
