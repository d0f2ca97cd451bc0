"""What a module's code is: its file and those of all modules of this repository that it imports, directly or not.

Read from the sources, so that what else happens to be loaded does not count. Patches by name are not imports.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("libs/sourcing/src", "libs/contracts/src", ".")
"""Where modules are looked for, in this order."""


def code_hash(module: str, root: Path = ROOT) -> str:
    """16 hexadecimal digits, the same as long as no file of the module's code changes."""
    return _hash(files_of(module, root), root)


def folders_hash(*folders: str, root: Path = ROOT) -> str:
    """The same of all Python files below some folders, tests by their name aside: for what starts processes."""
    found = (file for folder in folders for file in (root / folder).rglob("*.py"))
    return _hash((file for file in sorted(found) if not file.name.startswith("test_")), root)


def files_of(module: str, root: Path = ROOT) -> Sequence[Path]:
    """The files, in order of their paths. Raises `ValueError` for a module that is not of this repository."""
    if _find(module, root) is None:
        raise ValueError(f"{module} is no module of this repository")
    found: set[Path] = set()
    seen: set[str] = set()
    asked = [module]
    while asked:
        name = asked.pop()
        if name in seen:
            continue
        seen.add(name)
        file = _find(name, root)
        if file is not None and file not in found:
            found.add(file)
            asked += _imported(file)
        if "." in name:
            asked.append(name.rpartition(".")[0])
    return sorted(found)


def _hash(files: Iterable[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        data = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file} imports by a relative name"  # noqa: PT018
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _find(module: str, root: Path) -> Path | None:
    path = Path(*module.split("."))
    for source in SOURCES:
        for file in (root / source / path.with_suffix(".py"), root / source / path / "__init__.py"):
            if file.is_file():
                return file
    return None
