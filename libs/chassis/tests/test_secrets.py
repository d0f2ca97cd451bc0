import hashlib
import json
import stat
from pathlib import Path

import pytest

from chapar_chassis.secrets import SERVICES, Secrets, SecretsInvalid, create_installation
from chapar_chassis.tokens import AccessToken, AccessTokenSigner, AccessTokenVerifier


def contents(data_dir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data_dir)): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}


def of(data_dir: Path, service: str) -> Secrets:
    return Secrets(data_dir / "secrets" / service)


def test_each_service_gets_what_it_needs_and_no_more(tmp_path: Path) -> None:
    create_installation(tmp_path)
    everybody = {"peer.token", "position.key", "user_ids.key"}
    folder = tmp_path / "secrets"
    given = {service: {path.name for path in (folder / service).iterdir()} for service in SERVICES}
    assert given == {
        "identity": everybody | {"master.key", "phone.key", "codes.key", "refresh.key", "access_token.key"},
        "messaging": everybody | {"master.key"},
        "presence": everybody | {"master.key"},
        "payments": everybody | {"master.key"},
        "gateway": everybody | {"access_token_keys.json", "operators.json"},
    }


def test_shared_secrets_are_the_same_everywhere_and_own_ones_are_not(tmp_path: Path) -> None:
    create_installation(tmp_path)
    for name in ("position.key", "user_ids.key", "peer.token"):
        assert len({of(tmp_path, service).key(name) for service in SERVICES}) == 1
    assert len({of(tmp_path, service).key("master.key") for service in SERVICES if service != "gateway"}) == 4


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    create_installation(tmp_path)
    for path in (tmp_path / "secrets").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_creating_twice_changes_nothing(tmp_path: Path) -> None:
    create_installation(tmp_path)
    before = contents(tmp_path)
    create_installation(tmp_path)
    assert contents(tmp_path) == before


def test_a_creation_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    create_installation(tmp_path)
    before = contents(tmp_path)
    for name in ("gateway/access_token_keys.json", "presence/user_ids.key", "gateway/operators.json"):
        (tmp_path / "secrets" / name).unlink()
    create_installation(tmp_path)
    assert contents(tmp_path) == before


def test_the_gateway_verifies_what_identity_signs(tmp_path: Path) -> None:
    create_installation(tmp_path)
    signer = AccessTokenSigner(of(tmp_path, "identity").key("access_token.key"))
    verifier = AccessTokenVerifier(of(tmp_path, "gateway").access_token_keys())
    assert isinstance(verifier.verify(signer.sign("u", "s", issued_ms=1), 2), AccessToken)


def test_the_operator_is_known_by_the_hash_of_the_token(tmp_path: Path) -> None:
    create_installation(tmp_path)
    token = (tmp_path / "secrets" / "operator.token").read_text().strip()
    operator = of(tmp_path, "gateway").operators()[hashlib.sha256(token.encode()).digest()]
    assert (operator.name, operator.roles) == ("operator", frozenset({"cash", "erase"}))
    assert token.encode() not in b"".join((tmp_path / "secrets" / "gateway" / "operators.json").read_bytes().split())


@pytest.mark.parametrize("name", ["master.key", "phone.key"])
def test_a_lost_key_is_not_replaced_beside_the_data_it_belongs_to(tmp_path: Path, name: str) -> None:
    create_installation(tmp_path)
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "keys.db").touch()
    (tmp_path / "secrets" / "identity" / name).unlink()
    with pytest.raises(SecretsInvalid, match=f"{name} is missing, and the data of identity needs it"):
        create_installation(tmp_path)


def test_copies_that_differ_are_refused(tmp_path: Path) -> None:
    create_installation(tmp_path)
    (tmp_path / "secrets" / "presence" / "user_ids.key").write_text("00" * 32)
    with pytest.raises(SecretsInvalid, match=r"different copies of user_ids\.key"):
        create_installation(tmp_path)


def test_a_gateway_that_does_not_know_identitys_key_is_refused(tmp_path: Path) -> None:
    create_installation(tmp_path)
    other = AccessTokenSigner(bytes(32))
    rows = {"keys": [{"key_id": other.key_id, "public": other.public_key.hex()}]}
    (tmp_path / "secrets" / "gateway" / "access_token_keys.json").write_text(json.dumps(rows))
    with pytest.raises(SecretsInvalid, match="does not name the key that identity signs with"):
        create_installation(tmp_path)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretsInvalid, match=r"master\.key is missing"):
        Secrets(tmp_path).key("master.key")
    assert not Secrets(tmp_path).has("master.key")


@pytest.mark.parametrize("content", ["", "abc", "zz" * 32, "ab" * 31, "سلام"])
def test_an_unusable_secret_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SecretsInvalid, match=r"master\.key") as raised:
        Secrets(tmp_path).key("master.key")
    assert not content or content not in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"keys": [{"key_id": "a", "public": "zz"}]}', "null"])
def test_unusable_token_keys_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "access_token_keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SecretsInvalid, match="does not have the expected form"):
        Secrets(tmp_path).access_token_keys()


def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("ab" * 32)
    path.chmod(0o644)
    with pytest.raises(SecretsInvalid, match="read by everybody"):
        Secrets(tmp_path).key("master.key")
