"""A service's database on MongoDB: opened as the settings say; made ready and looked at by commands."""

from __future__ import annotations

import json
from typing import TextIO

from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import CommonSettings, SettingsInvalid
from chapar_sourcing.adapters.mongo import Credentials, Database, MongoKeyStore, MongoStore, check, prepare
from chapar_sourcing.ports import Store


def database_of(settings: CommonSettings, service: str) -> Database:
    """Where it is, and who we are there. Raises `SecretsInvalid`."""
    name = f"{settings.mongo_database}_{service}"
    if not settings.mongo_user:
        return Database(settings.mongo_uri, name)
    password = Secrets(settings.secrets_dir).password("mongo.password")
    return Database(settings.mongo_uri, name, Credentials(settings.mongo_user, password, settings.mongo_ca))


async def open_database_store(settings: CommonSettings, service: str) -> Store:
    """The store of a service. Raises `DatabaseRefused` or `Unavailable`."""
    return await MongoStore.open(database_of(settings, service), service=service)


async def open_database_keys(settings: CommonSettings, service: str) -> MongoKeyStore:
    """The data keys of a service. Raises `DatabaseRefused` or `Unavailable`."""
    return await MongoKeyStore.open(database_of(settings, service), service=service)


async def run_database(service: str, settings: CommonSettings, action: str, output: TextIO) -> int:
    """`database prepare`, `database check`: prints one JSON object once the service finds all it needs there.

    `prepare` changes nothing that is there already.

    Raises `SettingsInvalid`, `DatabaseRefused` with what is wrong, `Unavailable`.
    """
    if action not in ("prepare", "check"):
        raise SettingsInvalid(["a database is prepared or checked: database prepare, database check"])
    if not settings.mongo_uri:
        raise SettingsInvalid(["CHAPAR_MONGO_URI must be set: SQLite files need no preparing"])
    database = database_of(settings, service)
    if action == "prepare":
        await prepare(database, service=service)
    await check(database, service=service)
    print(json.dumps({"database": database.name, "ready": True}), file=output, flush=True)
    return 0
