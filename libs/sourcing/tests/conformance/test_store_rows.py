"""What every Store promises of rows: fields that merge by maximum, whatever the order."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from chapar_sourcing.ports import Row, Store


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


async def test_rows_of_a_key_come_in_order_with_all_their_fields(store: Store) -> None:
    written = [Row("user", row, {"head": number(1), "own": number(2)}) for row in ("g.ی", "d.a", "d.é", "d.b")]
    await store.merge_rows(0, [*written, Row("other", "d.a", {"head": number(9)})])
    assert list(await store.rows(0, "user")) == sorted(written, key=lambda row: row.row)
    assert list(await store.rows(1, "user")) == []
    assert list(await store.rows(0, "nobody")) == []


async def test_fields_merge_by_the_maximum_of_their_bytes(store: Store) -> None:
    await store.merge_rows(0, [Row("user", "c", {"head": number(5), "membership": b"\x01\x00"})])
    await store.merge_rows(0, [Row("user", "c", {"head": number(3), "membership": b"\x01\x00\x00", "own": b""})])
    await store.merge_rows(0, [Row("user", "c", {"head": number(256)}), Row("user", "c", {"head": number(255)})])
    (row,) = await store.rows(0, "user")
    assert dict(row.fields) == {"head": number(256), "membership": b"\x01\x00\x00", "own": b""}


async def test_merging_in_any_order_and_twice_gives_the_same(stores: Any) -> None:
    draw = random.Random(11)
    merges = [
        Row(f"u{draw.randrange(3)}", f"c{draw.randrange(4)}", {draw.choice(("head", "own")): draw.randbytes(3)})
        for _ in range(150)
    ]
    store = await stores.open()
    repeated = merges + merges
    draw.shuffle(repeated)
    await asyncio.gather(*(store.merge_rows(0, repeated[at : at + 7]) for at in range(0, len(repeated), 7)))
    for user in ("u0", "u1", "u2"):
        wanted: dict[str, dict[str, bytes]] = {}
        for row in merges:
            if row.key == user:
                fields = wanted.setdefault(row.row, {})
                fields.update({name: max(value, fields.get(name, b"")) for name, value in row.fields.items()})
        assert {row.row: dict(row.fields) for row in await store.rows(0, user)} == wanted


async def test_a_row_without_fields_is_none(store: Store) -> None:
    await store.merge_rows(0, [Row("user", "c", {})])
    assert list(await store.rows(0, "user")) == []


@pytest.mark.parametrize("count", [1_000])
async def test_rows_are_there_after_reopening(stores: Any, count: int) -> None:
    store = await stores.open()
    await store.merge_rows(0, [Row("user", f"c{at:04d}", {"head": number(at)}) for at in range(count)])
    await store.close()
    rows = await (await stores.open()).rows(0, "user")
    assert [row.fields["head"] for row in rows] == [number(at) for at in range(count)]
