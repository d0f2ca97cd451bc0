"""What is particular to a database of MongoDB's protocol: order of values, being made ready, being let in, races."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chapar_sourcing.adapters.mongo import (
    Credentials,
    Database,
    DatabaseRefused,
    MongoKeyStore,
    MongoStore,
    check,
    collections_with_documents,
    prepare,
)
from chapar_sourcing.adapters.mongo._keys import PAGE_SUBJECTS
from chapar_sourcing.adapters.mongo._link import Link, Upsert
from chapar_sourcing.domain import Key
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, DocumentWrite, KeyRow, Row, Unavailable
from chapar_sourcing.positions import Position
from tools.mongo_server import MongoServer

from .test_mongo_layout import TRICKY_NAMES

pytestmark = [pytest.mark.mongo, pytest.mark.xdist_group("mongo")]
PASSWORD = "s3cret/of:the@test"
PLAY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
LETTERS = st.one_of(
    st.sampled_from(["\x01", "a", "é", "ی", "\ud7ff", "\ue000", "\uffff", "\U00010000", "😀", "\U0010ffff"]),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)


@pytest.fixture
async def database(mongo_server: MongoServer) -> Database:
    """A database of this test, made ready for messaging."""
    database = Database(mongo_server.uri, f"t{secrets.token_hex(4)}")
    await prepare(database, service="messaging")
    return database


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[MongoStore]:
    store = await MongoStore.open(database, service="messaging")
    try:
        yield store
    finally:
        await store.close()


# ---- order of values


@PLAY
@given(values=st.lists(st.binary(max_size=6), min_size=1, max_size=12), names=st.lists(TRICKY_NAMES, max_size=3))
async def test_the_servers_maximum_is_that_of_the_bytes(
    database: Database, values: list[bytes], names: list[str]
) -> None:
    row = secrets.token_hex(4)
    wanted = {name: max(values) for name in ("head", *names)}
    async with opened(database) as store:
        for value in values:
            await store.merge_rows(0, [Row("user", row, dict.fromkeys(wanted, value))])
        (merged,) = [found for found in await store.rows(0, "user") if found.row == row]
    assert merged.fields == wanted


@PLAY
@given(ids=st.sets(st.text(LETTERS, min_size=1, max_size=4), min_size=2, max_size=12))
async def test_ids_are_ordered_by_code_points(database: Database, ids: set[str]) -> None:
    parent = secrets.token_hex(4)
    async with opened(database) as store:
        await store.write_documents(0, [DocumentWrite(Key("k", parent, id_), Position(1, 0), b"x", 0) for id_ in ids])
        found = await store.scan(0, "k", parent, at_least=-1)
    assert [key.id for key, _ in found] == sorted(ids)


async def test_a_name_with_a_nul_is_refused_and_nothing_written(database: Database) -> None:
    async with opened(database) as store:
        for id_ in ("a\0b", "\ud800"):
            writes = [DocumentWrite(Key("k", "p", one), Position(1, 0), b"x", 0) for one in ("good", id_)]
            with pytest.raises(ValueError, match=r"NUL|surrogates"):
                await store.write_documents(0, writes)
        assert list(await store.documents(0, at_least=-1, after=None)) == []


# ---- made ready, and let in


async def test_making_ready_again_changes_nothing(database: Database) -> None:
    async with opened(database) as store:
        await store.write_documents(0, [DocumentWrite(Key("k", "p"), Position(1, 0), b"kept", 0)])
        await prepare(database, service="messaging")
        assert (await store.load(0, [Key("k", "p")], at_least=-1))[Key("k", "p")].data == b"kept"


async def test_a_database_that_was_not_made_ready_is_refused_with_the_command(mongo_server: MongoServer) -> None:
    for opening in (MongoStore.open, MongoKeyStore.open):
        with pytest.raises(DatabaseRefused, match="python -m chapar_messaging database prepare"):
            await opening(Database(mongo_server.uri, "unready"), service="messaging")


async def test_what_holds_anything_is_known_and_nothing_has_to_be_there(mongo_server: MongoServer) -> None:
    database = Database(mongo_server.uri, f"d{secrets.token_hex(4)}")
    assert await collections_with_documents(database) == []
    await prepare(database, service="messaging")
    assert await collections_with_documents(database) == []
    keys = await MongoKeyStore.open(database, service="messaging")
    rows = [KeyRow(f"key {number:03}", f"subject {number:03}", 7, b"wrapped") for number in range(PAGE_SUBJECTS + 1)]
    await asyncio.gather(*map(keys.insert, rows))
    assert [row async for row in keys.rows()] == rows
    await keys.close()
    assert await collections_with_documents(database) == ["keys"]


@pytest.mark.parametrize("collection", ["documents", "rows", "cursors"])
async def test_a_missing_index_is_named_and_made_again(
    mongo_server: MongoServer, database: Database, collection: str
) -> None:
    with pymongo.MongoClient(mongo_server.uri) as client:
        client[database.name][collection].drop_index("in_order")
    with pytest.raises(DatabaseRefused, match=f"no index in_order on {collection}: .*database prepare"):
        await MongoStore.open(database, service="messaging")
    await prepare(database, service="messaging")
    async with opened(database):
        pass


async def test_keys_without_their_unique_index_are_refused(mongo_server: MongoServer, database: Database) -> None:
    with pymongo.MongoClient(mongo_server.uri) as client:
        client[database.name]["keys"].drop_index("by_key_id")
        client[database.name]["keys"].create_index("keys.key_id", name="by_key_id")
    with pytest.raises(DatabaseRefused, match="no index by_key_id on keys"):
        await MongoKeyStore.open(database, service="messaging")


async def test_another_services_database_is_refused(database: Database) -> None:
    with pytest.raises(DatabaseRefused, match="belongs to messaging, not to payments"):
        await MongoStore.open(database, service="payments")
    with pytest.raises(DatabaseRefused, match="belongs to messaging, not to payments"):
        await prepare(database, service="payments")


async def test_a_layout_of_a_later_program_is_refused(mongo_server: MongoServer, database: Database) -> None:
    with pymongo.MongoClient(mongo_server.uri) as client:
        client[database.name]["layout"].update_one({}, {"$set": {"version": 2}})
    with pytest.raises(DatabaseRefused, match="has layout 2; this program knows 1"):
        await MongoStore.open(database, service="messaging")


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server that talks TLS and lets one user in."""
    with MongoServer(tmp_path_factory.mktemp("guarded"), user="chapar", password=PASSWORD) as server:
        yield server


def guarded(server: MongoServer, user: str = "chapar", password: str = PASSWORD) -> Database:
    return Database(server.uri, "guarded", Credentials(user, password, server.ca))


async def test_who_has_the_password_is_let_in(guarded_server: MongoServer) -> None:
    database = guarded(guarded_server)
    await prepare(database, service="messaging")
    await check(database, service="messaging")
    async with opened(database) as store:
        assert await store.read_checkpoint(0) is None


@pytest.mark.parametrize(("user", "password"), [("chapar", "wr0ng/pass"), ("stranger", PASSWORD)])
async def test_others_are_refused_with_a_reason_and_no_password(
    guarded_server: MongoServer, user: str, password: str
) -> None:
    database = guarded(guarded_server, user, password)
    for opening in (MongoStore.open, MongoKeyStore.open, prepare, check):
        with pytest.raises(DatabaseRefused, match="refuses us: the user") as refused:
            await opening(database, service="messaging")
        told = "".join(traceback.format_exception(refused.value)) + repr(database)
        assert PASSWORD not in told
        assert "wr0ng" not in told


async def test_a_server_that_cannot_prove_who_it_is_gets_no_password(guarded_server: MongoServer) -> None:
    trusting_others = Database(guarded_server.uri, "guarded", Credentials("chapar", PASSWORD))
    with pytest.raises(Unavailable, match="certificate"):
        await MongoStore.open(trusting_others, deadline_ms=3_000)


async def test_a_server_of_tls_does_not_talk_in_the_clear(guarded_server: MongoServer) -> None:
    with pytest.raises(Unavailable):
        await MongoStore.open(Database(guarded_server.uri, "guarded"), deadline_ms=3_000)


@pytest.mark.parametrize("uri", ["http://host/", "mongodb://host:70000/", "mongodb://", "mongodb://u:p4ss@w0rd@h:1/"])
async def test_an_address_that_is_none_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(DatabaseRefused, match="address of the database cannot be used") as refused:
        await MongoStore.open(Database(uri, "d"))
    assert "p4ss" not in str(refused.value)
    assert "w0rd" not in str(refused.value)


async def test_a_certificate_file_that_is_missing_is_named() -> None:
    missing = Database("mongodb://127.0.0.1:1/", "d", Credentials("u", PASSWORD, Path("/missing/ca.pem")))
    with pytest.raises(DatabaseRefused, match=r"certificates /missing/ca\.pem cannot be read"):
        await MongoStore.open(missing)


async def test_a_server_that_is_not_there_is_unavailable_and_says_where() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1: "):
        await MongoStore.open(Database("mongodb://127.0.0.1:1/", "d"), deadline_ms=3_000)


# ---- errors and races


async def test_errors_other_than_duplicates_are_raised(database: Database) -> None:
    link = await Link.open(database)
    await link.write("x", [Upsert({"_id": 1}, {"$set": {"a": "text"}})])
    older = Upsert({"_id": 1, "n": {"$lt": 0}}, {"$set": {"n": 0}})
    assert (await link.write("x", [older])).duplicates == [0]
    with pytest.raises(Unavailable, match="did not write all"):
        await link.write("x", [older, Upsert({"_id": 1}, {"$set": {"a.b": 1}})])
    await link.close()


async def test_duplicates_are_told_by_their_places_over_several_requests(database: Database) -> None:
    link = await Link.open(database)
    writes = [Upsert({"_id": number, "n": {"$lt": 1}}, {"$set": {"n": 1}}) for number in range(450)]
    met = [7, 199, 200, 449]
    assert (await link.write("y", [writes[place] for place in met])).duplicates == []
    assert sorted((await link.write("y", writes)).duplicates) == met
    await link.close()


async def test_a_batch_that_names_a_document_twice_leaves_the_newest(database: Database) -> None:
    key = Key("k", "p", "twice")
    writes = [DocumentWrite(key, Position(offset, 0), b"%d" % offset, 0) for offset in (3, 9, 5)]
    async with opened(database) as store:
        await store.write_documents(0, writes)
        assert (await store.load(0, [key], at_least=-1))[key].data == b"9"


async def test_writers_of_many_connections_leave_the_newest_of_all(database: Database) -> None:
    keys = [Key("k", "p", str(number)) for number in range(10)]

    async def write(store: MongoStore, offsets: range) -> None:
        for offset in offsets:
            await store.write_documents(0, [DocumentWrite(key, Position(offset, 0), b"%d" % offset, 0) for key in keys])

    async with opened(database) as one, opened(database) as other:
        await asyncio.gather(write(one, range(0, 30, 2)), write(other, range(1, 30, 2)), write(one, range(28, 0, -3)))
        found = await one.load(0, keys, at_least=-1)
    assert {stored.data for stored in found.values()} == {b"29"}
    assert len(found) == len(keys)


async def test_a_checkpoint_of_two_writers_only_moves_forward(database: Database) -> None:
    async with opened(database) as one, opened(database) as other:
        writes = [
            store.write_checkpoint(0, Checkpoint("j", 1, FoldState(offset=offset)))
            for offset in range(12)
            for store in (one, other)
        ]
        await asyncio.gather(*writes)
        found = await one.read_checkpoint(0)
    assert found is not None
    assert found.fold.offset == 11


async def test_rows_merged_in_other_processes_are_in_an_edition_once_it_is_being_built(database: Database) -> None:
    """Somebody merges all the time, on what it knew a moment ago; building returns once it knows better."""
    merged_after: list[str] = []
    building = asyncio.Event()
    enough = asyncio.Event()

    async def merge(store: MongoStore) -> None:
        number = 0
        while len(merged_after) < 20:
            began_to_build = building.is_set()
            await store.merge_rows(0, [Row("user", str(number), {"f": b"1"})])
            if building.is_set():
                merged_after.append(str(number))
            assert began_to_build or len(merged_after) < 20
            number += 1
        enough.set()

    async with opened(database) as rebuilder, opened(database) as owner:
        merging = asyncio.create_task(merge(owner))
        await rebuilder.build_edition(0, 2)
        building.set()
        await asyncio.wait_for(merging, 60)
        there = {row.row for row in await rebuilder.at(2).rows(0, "user")}
        live = {row.row for row in await rebuilder.rows(0, "user")}
    assert set(merged_after) <= there & live


async def test_a_switch_in_another_process_is_seen_at_once(database: Database) -> None:
    key = Key("k", "p")
    async with opened(database) as rebuilder, opened(database) as owner:
        await owner.write_documents(0, [DocumentWrite(key, Position(1, 0), b"old", 0)])
        await rebuilder.build_edition(0, 2)
        await rebuilder.at(2).write_documents(0, [DocumentWrite(key, Position(1, 0), b"new", 0)])
        assert (await owner.load(0, [key], at_least=-1))[key].data == b"old"
        await rebuilder.switch_edition(0, 2)
        assert (await owner.load(0, [key], at_least=-1))[key].data == b"new"


async def test_a_key_inserted_late_loses_against_an_erasure_in_another_process(database: Database) -> None:
    one = await MongoKeyStore.open(database, service="messaging")
    other = await MongoKeyStore.open(database, service="messaging")
    for number in range(20):
        subject = f"user:{number}"
        last = KeyRow(f"last{number}", subject, 1_000, b"wrapped")

        async def erase(last: KeyRow = last) -> None:
            await other.insert(last)
            await other.destroy(last.subject, last.period)

        early = KeyRow(f"early{number}", subject, 1, b"wrapped")
        await asyncio.gather(one.insert(early), erase())
        assert await one.get(early.key_id) is None
        assert await one.current(subject, 1) == last
    await one.close()
    await other.close()


async def test_nothing_of_a_destroyed_key_is_left_in_any_collection(
    mongo_server: MongoServer, database: Database
) -> None:
    keys = await MongoKeyStore.open(database, service="messaging")
    await keys.insert(KeyRow("doomed", "user", 1, b"wrapped to be destroyed"))
    await keys.insert(KeyRow("kept", "user", 2, b"wrapped to be kept"))
    assert await keys.destroy("user", 2) == 1
    with pymongo.MongoClient(mongo_server.uri) as client:
        everything = repr(
            [list(client[database.name][name].find()) for name in client[database.name].list_collection_names()]
        )
    assert "to be kept" in everything
    assert "to be destroyed" not in everything
    await keys.close()
