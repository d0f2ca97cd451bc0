import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from chapar_chassis.settings import Address, CommonSettings, SettingsInvalid, Variable, address, one_of, whole_number

NEEDED = {"CHAPAR_DATA_DIR": "/data", "CHAPAR_SECRETS_DIR": "/secrets"}


@dataclass(frozen=True, kw_only=True)
class ShopSettings(CommonSettings):
    door: Annotated[str, Variable("SHOP_DOOR", one_of("open", "shut"))]
    shelf_count: Annotated[int, Variable("SHOP_SHELVES", whole_number(1, 9))] = 3

    def problems(self) -> list[str]:
        return super().problems() + (["an open shop needs shelves"] if self.shelf_count == 1 else [])


def test_what_is_not_set_has_its_default() -> None:
    settings = CommonSettings.from_environ(NEEDED)
    assert settings.data_dir == Path("/data")
    assert settings.listen == Address("127.0.0.1", 0)
    assert (settings.partitions, settings.kafka, settings.log_level, settings.development) == (16, "", "info", False)


def test_everything_can_be_set() -> None:
    settings = CommonSettings.from_environ(
        {
            **NEEDED,
            "CHAPAR_LISTEN": "[::1]:8000",
            "CHAPAR_METRICS_LISTEN": "localhost:0",
            "CHAPAR_KAFKA": "broker-1:9092,broker-2:9092",
            "CHAPAR_KAFKA_REPLICAS": "2",
            "CHAPAR_KAFKA_USER": "chapar-shop",
            "CHAPAR_KAFKA_CA": "/ca.pem",
            "CHAPAR_PARTITIONS": "256",
            "CHAPAR_LOG_LEVEL": "warning",
            "CHAPAR_DEVELOPMENT": "1",
            "CHAPAR_PARENT_PID": "42",
        }
    )
    assert settings.listen == Address("::1", 8000)
    assert str(settings.listen) == "[::1]:8000"
    assert (settings.partitions, settings.parent_pid) == (256, 42)
    assert (settings.kafka, settings.kafka_replicas) == ("broker-1:9092,broker-2:9092", 2)
    assert (settings.kafka_user, settings.kafka_ca) == ("chapar-shop", Path("/ca.pem"))


def test_all_problems_are_told_at_once_and_no_value_is_repeated() -> None:
    environ = {
        "CHAPAR_DATA_DIR": "relative",
        "CHAPAR_PARTITIONS": "many",
        "CHAPAR_LISTEN": "nowhere",
        "SHOP_SHELVES": "0",
    }
    with pytest.raises(SettingsInvalid) as raised:
        ShopSettings.from_environ(environ)
    assert sorted(raised.value.problems) == [
        "CHAPAR_DATA_DIR must be an absolute path",
        'CHAPAR_LISTEN must be "host:port"',
        "CHAPAR_PARTITIONS must be a whole number from 1 to 16384",
        "CHAPAR_SECRETS_DIR must be set",
        "SHOP_DOOR must be set",
        "SHOP_SHELVES must be a whole number from 1 to 9",
    ]
    assert not any(value in str(raised.value) for value in ("relative", "many", "nowhere"))


def test_a_service_has_settings_of_its_own() -> None:
    settings = ShopSettings.from_environ({**NEEDED, "SHOP_DOOR": "open"})
    assert (settings.door, settings.shelf_count) == ("open", 3)


def test_fields_are_checked_against_each_other() -> None:
    with pytest.raises(SettingsInvalid, match="an open shop needs shelves"):
        ShopSettings.from_environ({**NEEDED, "SHOP_DOOR": "open", "SHOP_SHELVES": "1"})


@pytest.mark.parametrize("kafka", ["broker:9092", "127.0.0.1:9092,10.1.2.3:9092", "[2001:db8::1]:9092"])
def test_nothing_is_sent_in_the_clear_to_brokers_elsewhere(kafka: str) -> None:
    with pytest.raises(SettingsInvalid, match="CHAPAR_KAFKA_USER must be set"):
        CommonSettings.from_environ({**NEEDED, "CHAPAR_KAFKA": kafka})
    assert CommonSettings.from_environ({**NEEDED, "CHAPAR_KAFKA": kafka, "CHAPAR_KAFKA_USER": "u"}).kafka == kafka


@pytest.mark.parametrize("kafka", ["127.0.0.1:9092", "localhost:9092,[::1]:9093"])
def test_brokers_of_this_machine_need_no_user(kafka: str) -> None:
    assert CommonSettings.from_environ({**NEEDED, "CHAPAR_KAFKA": kafka}).kafka == kafka


def test_an_empty_variable_is_an_unset_one() -> None:
    assert CommonSettings.from_environ({**NEEDED, "CHAPAR_KAFKA": " "}).kafka == ""


def test_settings_do_not_change() -> None:
    settings = CommonSettings.from_environ(NEEDED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.partitions = 1  # type: ignore[misc]


@pytest.mark.parametrize("value", ["host", ":80", "host:", "host:-1", "host:65536", "host:۸۰", "host:8.0"])
def test_what_is_not_an_address_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        address(value)


def test_a_broker_needs_a_port() -> None:
    with pytest.raises(SettingsInvalid, match="CHAPAR_KAFKA"):
        CommonSettings.from_environ({**NEEDED, "CHAPAR_KAFKA": "broker:0"})


def test_a_database_is_named_without_its_user() -> None:
    settings = CommonSettings.from_environ(
        {
            **NEEDED,
            "CHAPAR_MONGO_URI": "mongodb://db-1:27017,db-2:27017/?replicaSet=chapar",
            "CHAPAR_MONGO_DATABASE": "chapar_tehran",
            "CHAPAR_MONGO_USER": "chapar-shop",
            "CHAPAR_MONGO_CA": "/ca.pem",
        }
    )
    assert settings.mongo_uri == "mongodb://db-1:27017,db-2:27017/?replicaSet=chapar"
    assert (settings.mongo_database, settings.mongo_user) == ("chapar_tehran", "chapar-shop")
    assert settings.mongo_ca == Path("/ca.pem")


@pytest.mark.parametrize(
    "uri", ["mongodb://user:p4ssword@db:27017/", "http://db:27017/", "mongodb://", "mongodb://db/", "mongodb://db:0/"]
)
def test_an_address_of_a_database_that_cannot_be_one_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SettingsInvalid, match="CHAPAR_MONGO_URI must be") as refused:
        CommonSettings.from_environ({**NEEDED, "CHAPAR_MONGO_URI": uri})
    assert "p4ssword" not in str(refused.value)


@pytest.mark.parametrize("name", ["Chapar", "a.b", "a/b", "$a", "a" * 33, "پیام"])
def test_a_name_that_no_database_can_have_is_refused(name: str) -> None:
    with pytest.raises(SettingsInvalid, match="CHAPAR_MONGO_DATABASE must be"):
        CommonSettings.from_environ({**NEEDED, "CHAPAR_MONGO_DATABASE": name})


def test_nothing_is_sent_in_the_clear_to_a_database_elsewhere() -> None:
    here, elsewhere = "mongodb://127.0.0.1:1/?a=b", "mongodb://127.0.0.1:1,db:27017/"
    assert CommonSettings.from_environ({**NEEDED, "CHAPAR_MONGO_URI": here}).mongo_uri == here
    with pytest.raises(SettingsInvalid, match="CHAPAR_MONGO_USER must be set"):
        CommonSettings.from_environ({**NEEDED, "CHAPAR_MONGO_URI": elsewhere})
    known = {**NEEDED, "CHAPAR_MONGO_URI": elsewhere, "CHAPAR_MONGO_USER": "u"}
    assert CommonSettings.from_environ(known).mongo_uri == elsewhere


def _problems(**environ: str) -> list[str]:
    try:
        CommonSettings.from_environ({**NEEDED, **{f"CHAPAR_{name}": value for name, value in environ.items()}})
    except SettingsInvalid as invalid:
        return invalid.problems
    return []


def test_nothing_listens_beyond_the_machine_in_the_clear() -> None:
    tls = {"TLS_CERT": "/own.crt", "TLS_KEY": "/own.key", "TLS_CA": "/ca.crt"}
    in_the_clear = "CHAPAR_TLS_CERT must be set to listen beyond this machine: nothing is sent in the clear"
    assert _problems(LISTEN="10.0.0.7:7400") == [in_the_clear]
    assert _problems(LISTEN="owner-1:7400") == [in_the_clear]
    assert _problems(LISTEN="10.0.0.7:7400", DEVELOPMENT="1") == []
    assert _problems(LISTEN="10.0.0.7:7400", **tls) == []
    del tls["TLS_CA"]
    assert _problems(**tls) == ["CHAPAR_TLS_CERT, CHAPAR_TLS_KEY and CHAPAR_TLS_CA must be set together"]


@pytest.mark.parametrize("everywhere", ["0.0.0.0:7400", "[::]:7400", "0:7400", "[::0]:7400", "[::ffff:0.0.0.0]:7400"])
def test_who_listens_everywhere_says_where_it_is_reached(everywhere: str) -> None:
    host = address(everywhere).host
    assert _problems(LISTEN=everywhere, DEVELOPMENT="1") == [
        f"CHAPAR_ADVERTISE must be set: {host} is no address that others reach"
    ]
    assert _problems(LISTEN=everywhere, ADVERTISE="10.0.0.7:0", DEVELOPMENT="1") == []


def test_what_is_advertised_is_where_it_listens_or_what_is_said() -> None:
    bound = Address("127.0.0.1", 4321)
    assert CommonSettings.from_environ(NEEDED).advertised(bound) == bound
    for said, meant in (("10.0.0.7:0", Address("10.0.0.7", 4321)), ("owner-1:7400", Address("owner-1", 7400))):
        assert CommonSettings.from_environ({**NEEDED, "CHAPAR_ADVERTISE": said}).advertised(bound) == meant
