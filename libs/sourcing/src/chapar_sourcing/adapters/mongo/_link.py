"""One connection to the database: the only file that knows the driver (ADR 0017).

Flows in: filters, updates and indexes as plain mappings, in the words of MongoDB's protocol. Flows out: plain mappings,
and two errors: `Unavailable` for everything that trying again may help, `Late` among it, and `DatabaseRefused` for what
an operator has to change. No error text repeats an address with a password in it, or content.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorDatabase
from pymongo import DeleteOne, ReadPreference, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, ConfigurationError, NetworkTimeout, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chapar_sourcing.ports import Unavailable

DUPLICATE_KEY = 11000
REFUSED_CODES = {13: "the user may not do this", 18: "the user or the password is wrong"}
BULK_WRITES_MAX = 200
"""Writes in one request: 13 MB of the largest documents."""
TIME_LIMIT_CODES = {50, 64}
"""The server's words for: not in the time we gave it."""
Document = Mapping[str, Any]
Session = AsyncIOMotorClientSession


@dataclass(frozen=True, slots=True)
class Credentials:
    """Our name and password at the database, over TLS."""

    user: str
    password: str = field(repr=False)
    ca: Path | None = None
    """A PEM file of the certificates that the servers' own must be signed by; None: those of the system."""


@dataclass(frozen=True, slots=True)
class Database:
    """One service's database as one process sees it."""

    uri: str
    """ "mongodb://host:port,host:port/?replicaSet=name" without user and password."""
    name: str
    credentials: Credentials | None = None
    """None: neither is anything encrypted nor anybody known. For a server of one's own machine."""

    def client_options(self) -> dict[str, Any]:
        """What the driver's client is opened with beside the address."""
        if self.credentials is None:
            return {}
        trusted = {} if self.credentials.ca is None else {"tlsCAFile": str(self.credentials.ca)}
        return {"username": self.credentials.user, "password": self.credentials.password, "tls": True, **trusted}


class DatabaseRefused(RuntimeError):
    """The database cannot be used as it is, or does not let us in. The text is for the operator."""


class Late(Unavailable):
    """No answer within the deadline. What was asked for may have been done, or may yet be."""


class _NotLetIn(Unavailable):
    """The database knows us, or what we are allowed to do, no longer or not yet."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Changes the document that `where` finds, or inserts one of the equalities in `where`."""

    where: Document
    update: Document


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the document that `where` finds, if it finds one."""

    where: Document


@dataclass(slots=True)
class Written:
    """What became of writes: by their places, those that met another document of their unique key."""

    duplicates: list[int] = field(default_factory=list)
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """An index over fields, ascending."""

    name: str
    fields: tuple[str, ...]
    unique: bool = False


class Link:
    """A pool of connections to one database. Every call ends within the deadline."""

    def __init__(self, client: AsyncIOMotorClient[dict[str, Any]], name: str, deadline_ms: int) -> None:
        self._client = client
        self.deadline_ms = deadline_ms
        self._closed = False
        self._database: AsyncIOMotorDatabase[dict[str, Any]] = client.get_database(
            name,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority", j=True),
            read_preference=ReadPreference.PRIMARY,
        )

    @classmethod
    async def open(cls, database: Database, *, deadline_ms: int = 5_000) -> Self:
        """Connects. Raises `Unavailable`, and `DatabaseRefused` for a wrong address, user or password.

        The driver gives up a little before we do, whatever it waits for: it knows the reason, and what nobody waits for
        any more it neither sends again nor keeps a thread for. A real mongod is told, too, and stops at that time.
        It does not repeat writes by itself either: ours may be repeated by whoever wants them, and a server that is to
        notice repetitions has to remember each write (ADR 0021).
        """
        driver_ms = deadline_ms * 4 // 5
        try:
            client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
                database.uri, connectTimeoutMS=driver_ms, timeoutMS=driver_ms, retryWrites=False,
                tz_aware=True, appname="chapar",
                **database.client_options(),
            )  # fmt: skip
        except (ConfigurationError, ValueError) as error:
            raise DatabaseRefused(f"the address of the database cannot be used: {type(error).__name__}") from None
        except OSError:
            ca = database.credentials and database.credentials.ca
            raise DatabaseRefused(f"the database's certificates {ca} cannot be read") from None
        link = cls(client, database.name, deadline_ms)
        try:
            await link.find_one("layout", {})
        except BaseException as error:
            await link.close()
            if isinstance(error, _NotLetIn):
                raise DatabaseRefused(str(error)) from None
            raise
        return link

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Reads in one session never go back: each sees at least what those before it saw, also over a fail-over."""
        async with self._reaching():
            session = await self._client.start_session(causal_consistency=True)
        async with session:
            yield session

    async def find(
        self, collection: str, where: Document, *, fields: Sequence[str] | None = None,
        order: Sequence[str] = (), descending: bool = False, limit: int = 0,
        session: Session | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Documents, `fields` of them (None: all), by `order`, at most `limit` (0: all)."""
        direction = -1 if descending else 1
        async with self._reaching():
            cursor = self._database[collection].find(where, None if fields is None else list(fields), session=session)
            if order:
                cursor = cursor.sort([(name, direction) for name in order])
            if limit:
                cursor = cursor.limit(limit)
            found: list[dict[str, Any]] = await cursor.to_list(None)
            return found

    async def find_one(
        self, collection: str, where: Document, *, newest: bool = False, session: Session | None = None
    ) -> dict[str, Any] | None:
        """The document that `where` finds.

        A primary that was deposed and does not know it yet, or has just been elected, answers what a majority had a
        while ago. With `newest` it first makes sure that it is the primary, which costs a round of messages: the
        answer holds everything that anybody was told before the question. It is the first one of its session.
        """
        async with self._reaching():
            asked = self._database[collection]
            if newest:
                asked = asked.with_options(read_concern=ReadConcern("linearizable"))
            found: dict[str, Any] | None = await asked.find_one(where, session=session)
            return found

    async def write(
        self, collection: str, writes: Sequence[Upsert | Delete], *, session: Session | None = None
    ) -> Written:
        """All writes, in any order; those that meet a document of their unique key are told apart, any other error
        is raised. They go out in bounded requests, each with a deadline of its own. What they met is seen by who reads
        in the same session after them."""
        written = Written()
        for at in range(0, len(writes), BULK_WRITES_MAX):
            async with self._reaching():
                part = await self._write(collection, writes[at : at + BULK_WRITES_MAX], session)
            written.duplicates += [at + place for place in part.duplicates]
            written.deleted += part.deleted
        return written

    async def change(self, collection: str, where: Document, update: Document) -> dict[str, Any] | None:
        """Changes one document; returns what it was before, None where `where` finds none."""
        async with self._reaching():
            found: dict[str, Any] | None = await self._database[collection].find_one_and_update(
                where, update, return_document=ReturnDocument.BEFORE
            )
            return found

    async def create_index(self, collection: str, index: Index) -> None:
        """Creates an index and the collection; one that is there changes nothing."""
        async with self._reaching():
            keys = [(name, 1) for name in index.fields]
            await self._database[collection].create_index(keys, name=index.name, unique=index.unique)

    async def indexes(self, collection: str) -> set[Index]:
        """The indexes of a collection; none where there is no such collection."""
        async with self._reaching():
            found = await self._database[collection].list_indexes().to_list(None)
            return {Index(one["name"], tuple(one["key"]), bool(one.get("unique"))) for one in found}

    async def close(self) -> None:
        """Ends all connections."""
        self._closed = True
        self._client.close()

    async def _write(self, collection: str, writes: Sequence[Upsert | Delete], session: Session | None) -> Written:
        requests = [
            UpdateOne(dict(write.where), dict(write.update), upsert=True)
            if isinstance(write, Upsert)
            else DeleteOne(dict(write.where))
            for write in writes
        ]
        try:
            result = await self._database[collection].bulk_write(requests, ordered=False, session=session)
        except BulkWriteError as error:
            return written_of(error.details)
        return Written([], result.deleted_count)

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        """Turns all that can go wrong on the way into `Unavailable`, within the deadline."""
        if self._closed:
            raise Unavailable("closed")
        try:
            async with asyncio.timeout(self.deadline_ms / 1000):
                yield
        except OperationFailure as error:
            if error.code in TIME_LIMIT_CODES:
                raise Late(f"the database was not done in time: error {error.code}") from None
            if error.code in REFUSED_CODES:
                raise _NotLetIn(f"the database refuses us: {REFUSED_CODES[error.code]}") from None
            raise Unavailable(f"the database answers with error {error.code}") from None
        except (NetworkTimeout, TimeoutError) as error:
            raise Late(f"the database cannot be reached: {_told(error)}") from error
        except (PyMongoError, OSError) as error:
            raise Unavailable(f"the database cannot be reached: {_told(error)}") from error


def written_of(details: Mapping[str, Any]) -> Written:
    """What a bulk that met errors has done: nothing but duplicates are told; raises `Unavailable` for all else, `Late`
    where all of it is that the time was over."""
    failed = details["writeErrors"]
    codes = {one["code"] for one in failed} - {DUPLICATE_KEY} | {one["code"] for one in details["writeConcernErrors"]}
    if codes:
        kind = Late if codes <= TIME_LIMIT_CODES else Unavailable
        raise kind(f"the database did not write all, or not to a majority: {sorted(codes)}") from None
    return Written([one["index"] for one in failed], details["nRemoved"])


def _told(error: Exception) -> str:
    """What a driver's error says in front: the address and the reason, without the state of every server."""
    return str(error).split(" (configured timeouts", 1)[0].split(", Timeout:", 1)[0] or type(error).__name__
