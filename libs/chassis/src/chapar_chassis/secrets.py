"""Secrets of an installation: made once, each service sees a folder with only what it needs.

`create_installation` runs before services start; services read through `Secrets`. Nothing here logs or shows a
secret; files have mode 0600 in folders of 0700.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets as random_source
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from chapar_chassis.tokens import AccessTokenSigner

_T = TypeVar("_T")
DataOf: TypeAlias = Callable[[Path, str], Sequence[str]]
"""(data folder, service) -> names of what there is."""

KEY_BYTES = 32
PASSWORD_MIN = 12
PASSWORD_MAX = 256
OWNERS = ("identity", "messaging", "presence", "payments")
SERVICES = (*OWNERS, "gateway")
SHARED = {"peer.token": SERVICES, "position.key": SERVICES, "user_ids.key": SERVICES}
"""Secrets that several services hold the same copy of."""
OWN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(OWNERS, ("master.key",)),
    "identity": ("master.key", "phone.key", "codes.key", "refresh.key", "access_token.key"),
}
"""Secrets that one service holds alone."""
IRREPLACEABLE = frozenset({"master.key", "user_ids.key", "phone.key", "codes.key", "refresh.key"})
"""Without these, data that exists can no longer be read or recognised: never made anew beside data."""
OPERATOR_NAME = "operator"
OPERATOR_ROLES = ("cash", "erase")


class SecretsInvalid(Exception):
    """A secret is missing or unusable. The text names the file and what is wrong with it, never its content."""


@dataclass(frozen=True, slots=True)
class OperatorSecret:
    """One operator who may call, as the gateway knows them."""

    name: str
    token_sha256: bytes
    roles: frozenset[str]


class Secrets:
    """Reads one service's folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def key(self, name: str) -> bytes:
        """The 32 bytes of a key file such as "master.key". Raises `SecretsInvalid`."""
        try:
            value = bytes.fromhex(self._text(name))
        except ValueError:
            value = b""
        if len(value) != KEY_BYTES:
            raise SecretsInvalid(f"{self._directory / name} must hold {2 * KEY_BYTES} hexadecimal digits")
        return value

    def password(self, name: str) -> str:
        """The one line of a file such as "kafka.password". Raises `SecretsInvalid`."""
        value = self._text(name)
        if not PASSWORD_MIN <= len(value) <= PASSWORD_MAX or not value.isprintable():
            raise SecretsInvalid(
                f"{self._directory / name} must hold one line of {PASSWORD_MIN} to {PASSWORD_MAX} ASCII characters"
            )
        return value

    def has(self, name: str) -> bool:
        """Whether this service was given such a secret."""
        return (self._directory / name).is_file()

    def peer_token(self) -> str:
        """What processes of this installation show each other, as text. Raises `SecretsInvalid`."""
        return self.key("peer.token").hex()

    def access_token_keys(self) -> Mapping[str, bytes]:
        """Public keys of access tokens by key id, for `AccessTokenVerifier`. Raises `SecretsInvalid`."""
        name = "access_token_keys.json"
        return self._parsed(
            name, lambda value: {str(row["key_id"]): bytes.fromhex(row["public"]) for row in value["keys"]}
        )

    def operators(self) -> Mapping[bytes, OperatorSecret]:
        """Operators by the SHA-256 of their token. Raises `SecretsInvalid`."""

        def parse(rows: Any) -> dict[bytes, OperatorSecret]:
            operators = [
                OperatorSecret(str(row["name"]), bytes.fromhex(row["token_sha256"]), frozenset(row["roles"]))
                for row in rows
            ]
            return {operator.token_sha256: operator for operator in operators}

        return self._parsed("operators.json", parse)

    def _parsed(self, name: str, parse: Callable[[Any], _T]) -> _T:
        try:
            return parse(json.loads(self._text(name)))
        except (ValueError, KeyError, TypeError):
            raise SecretsInvalid(f"{self._directory / name} does not have the expected form") from None

    def _text(self, name: str) -> str:
        path = self._directory / name
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise SecretsInvalid(f"the secret {path} is missing") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SecretsInvalid(f"the secret {path} cannot be read ({type(error).__name__})") from None
        if mode & 0o007:
            raise SecretsInvalid(f"the secret {path} can be read by everybody: give it mode 0600")
        return text


def files_of(data_dir: Path, service: str) -> Sequence[str]:
    """The files of a service that hold what its secrets belong to."""
    paths = [data_dir / service / name for name in ("journal.db", "keys.db")]
    return [str(path) for path in paths if path.exists()]


def create_installation(data_dir: Path, data_of: DataOf = files_of) -> None:
    """Makes all secrets of an installation that are not there yet; what exists is kept.

    `data_of` names what there is of a service that its secrets belong to; asked only where one is missing.

    Raises `SecretsInvalid` when copies of a shared secret differ, or when a secret is gone that existing data needs.
    """
    root = data_dir / "secrets"
    for service in OWNERS:
        _refuse_beside_data(root, service, data_of)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in (root, *(root / service for service in SERVICES)):
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
    for name, services in SHARED.items():
        _create_shared(root, name, services)
    for service, names in OWN.items():
        for name in names:
            _write_once(root / service / name, random_source.token_hex(KEY_BYTES))
    _create_access_token_keys(root)
    _create_operator(root)


def _refuse_beside_data(root: Path, service: str, data_of: DataOf) -> None:
    """Looks before anything is made."""
    shared = {name: services for name, services in SHARED.items() if service in services}
    lost = [
        name
        for name in (*shared, *OWN[service])
        if name in IRREPLACEABLE and not any((root / holder / name).exists() for holder in shared.get(name, (service,)))
    ]
    if lost and (data := data_of(root.parent, service)):
        raise SecretsInvalid(
            f"{root / service / lost[0]} is missing, and the data of {service} needs it ({', '.join(data)}): put the"
            " secrets back from where they are kept"
        )


def _create_shared(root: Path, name: str, services: tuple[str, ...]) -> None:
    found = {Secrets(root / service).key(name) for service in services if (root / service / name).exists()}
    if len(found) > 1:
        raise SecretsInvalid(f"services hold different copies of {name} under {root}")
    value = found.pop() if found else random_source.token_bytes(KEY_BYTES)
    for service in services:
        _write_once(root / service / name, value.hex())


def _create_access_token_keys(root: Path) -> None:
    signer = AccessTokenSigner(Secrets(root / "identity").key("access_token.key"))
    path = root / "gateway" / "access_token_keys.json"
    _write_once(path, json.dumps({"keys": [{"key_id": signer.key_id, "public": signer.public_key.hex()}]}))
    if Secrets(root / "gateway").access_token_keys().get(signer.key_id) != signer.public_key:
        raise SecretsInvalid(f"{path} does not name the key that identity signs with")


def _create_operator(root: Path) -> None:
    token_path, operators_path = root / "operator.token", root / "gateway" / "operators.json"
    _write_once(token_path, random_source.token_hex(KEY_BYTES))
    digest = hashlib.sha256(Secrets(root).key("operator.token").hex().encode()).hexdigest()
    rows = [{"name": OPERATOR_NAME, "token_sha256": digest, "roles": list(OPERATOR_ROLES)}]
    _write_once(operators_path, json.dumps(rows))


def _write_once(path: Path, text: str) -> None:
    """Creates a file whole and durable, or leaves the one that is there."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.{random_source.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass  # Somebody else made it meanwhile: theirs is kept.
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
