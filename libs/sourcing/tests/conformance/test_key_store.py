"""What every KeyStore promises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chapar_sourcing.ports import KeyRow, Unavailable


def row(key_id: str, *, subject: str = "user", period: int = 1) -> KeyRow:
    return KeyRow(key_id, subject, period, b"wrapped " + key_id.encode())


async def test_a_key_is_found_by_id_and_by_subject_and_period(key_stores: Any) -> None:
    keys = await key_stores.open()
    assert await keys.insert(row("a")) == row("a")
    assert await keys.get("a") == row("a")
    assert await keys.current("user", 1) == row("a")
    assert await keys.current("user", 2) is None
    assert await keys.current("other", 1) is None
    assert await keys.get("b") is None


async def test_the_first_key_of_a_period_wins(key_stores: Any) -> None:
    keys = await key_stores.open()
    await keys.insert(row("a"))
    assert await keys.insert(row("b")) == row("a")
    assert await keys.get("b") is None
    assert await keys.insert(row("a")) == row("a")


async def test_the_newest_key_is_the_current_one_of_all_periods_before_it(key_stores: Any) -> None:
    keys = await key_stores.open()
    await keys.insert(row("a"))
    assert await keys.insert(row("forced", period=1_000)) == row("forced", period=1_000)
    assert await keys.current("user", 1) == row("forced", period=1_000)
    assert await keys.current("user", 1_000) == row("forced", period=1_000)
    assert await keys.current("user", 1_001) is None


async def test_a_key_that_comes_after_one_of_a_later_period_is_not_stored(key_stores: Any) -> None:
    keys = await key_stores.open()
    await keys.insert(row("forced", period=1_000))
    assert await keys.destroy("user", 1_000) == 0
    assert await keys.insert(row("late", period=2)) == row("forced", period=1_000)
    assert await keys.get("late") is None


async def test_of_many_owners_that_create_one_period_all_get_the_same_key(key_stores: Any) -> None:
    keys = await key_stores.open()
    stored = await asyncio.gather(*(keys.insert(row(f"k{number}")) for number in range(50)))
    assert set(stored) == {await keys.current("user", 1)}


async def test_a_key_id_is_never_used_twice(key_stores: Any) -> None:
    keys = await key_stores.open()
    await keys.insert(row("a"))
    with pytest.raises(ValueError, match="taken"):
        await keys.insert(row("a", period=2))
    assert await keys.current("user", 2) is None
    assert await keys.get("a") == row("a")


async def test_only_the_subjects_earlier_keys_are_destroyed(key_stores: Any) -> None:
    keys = await key_stores.open()
    for period in (1, 2, 3):
        await keys.insert(row(f"u{period}", period=period))
    await keys.insert(row("o1", subject="other"))
    assert await keys.destroy("user", 3) == 2
    assert await keys.get("u1") is None
    assert await keys.get("u2") is None
    assert await keys.current("user", 1) == row("u3", period=3)
    assert await keys.get("o1") == row("o1", subject="other")
    assert await keys.destroy("user", 3) == 0


async def test_keys_and_destructions_are_there_after_reopening(key_stores: Any) -> None:
    keys = await key_stores.open()
    await keys.insert(row("a"))
    await keys.insert(row("b", period=2))
    await keys.destroy("user", 2)
    await keys.close()
    again = await key_stores.open()
    assert await again.get("a") is None
    assert await again.current("user", 2) == row("b", period=2)


async def test_a_closed_key_store_is_unavailable(key_stores: Any) -> None:
    keys = await key_stores.open()
    await keys.close()
    with pytest.raises(Unavailable):
        await keys.get("a")
    with pytest.raises(Unavailable):
        await keys.insert(row("a"))
