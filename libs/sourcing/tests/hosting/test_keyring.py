"""What is sealed opens with its key, where it belongs, until the key is destroyed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from chapar_sourcing.adapters.memory import MemoryKeys, MemoryKeyStore
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.keyring import CACHE_SECONDS_MAX, SEALING_SECONDS_MAX, Keyring, period_of
from chapar_sourcing.ports import KeyRow, Unavailable

NOVEMBER_MS = 1_795_000_000_000
MASTER = bytes(range(32))


def keyring(keys: MemoryKeys, clock: ManualClock | None = None, **changes: object) -> Keyring:
    return Keyring(**{
        "store": MemoryKeyStore(keys), "master_key": MASTER, "clock": clock or ManualClock(NOVEMBER_MS),
        "randomness": os.urandom, **changes,
    })  # type: ignore[arg-type]  # fmt: skip


async def test_another_process_opens_what_was_sealed() -> None:
    keys = MemoryKeys()
    sealed = await keyring(keys).seal("user", "note/1", "متن".encode())
    assert "متن".encode() not in sealed.SerializeToString()
    assert await keyring(keys).open(sealed, "note/1") == "متن".encode()


async def test_sealed_content_belongs_to_one_document() -> None:
    ring = keyring(MemoryKeys())
    sealed = await ring.seal("user", "note/1", b"text")
    with pytest.raises(ValueError, match="belongs to something else"):
        await ring.open(sealed, "note/2")


@pytest.mark.parametrize("field", ["nonce", "ciphertext"])
async def test_changed_content_is_noticed(field: str) -> None:
    ring = keyring(MemoryKeys())
    sealed = await ring.seal("user", "note/1", b"text")
    data = getattr(sealed, field)
    setattr(sealed, field, bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(ValueError, match="changed"):
        await ring.open(sealed, "note/1")


async def test_a_wrapped_key_of_another_subject_is_noticed() -> None:
    keys = MemoryKeys()
    await keyring(keys).seal("user", "note/1", b"text")
    store = MemoryKeyStore(keys)
    row = await store.current("user", period_of(NOVEMBER_MS))
    assert row is not None
    await store.insert(replace(row, key_id="other", subject="thief"))
    with pytest.raises(ValueError, match="wrapped"):
        await keyring(keys).content_key("thief")


async def test_another_master_key_opens_nothing() -> None:
    keys = MemoryKeys()
    sealed = await keyring(keys).seal("user", "note/1", b"text")
    with pytest.raises(ValueError, match="another master key"):
        await keyring(keys, master_key=bytes(32)).open(sealed, "note/1")


async def test_a_destroyed_key_is_used_by_nobody_after_a_minute() -> None:
    keys, clock = MemoryKeys(), ManualClock(NOVEMBER_MS)
    ring = keyring(keys, clock)
    sealed = await ring.seal("user", "note/1", b"text")
    key_id, _ = await ring.content_key("user")
    await MemoryKeyStore(keys).destroy("user", period_of(NOVEMBER_MS) + 1)
    assert await keyring(keys).open(sealed, "note/1") is None
    await clock.advance(int(CACHE_SECONDS_MAX * 1000))
    assert await ring.open(sealed, "note/1") is None
    assert await ring.content_key_by_id(key_id) is None
    assert (await ring.seal("user", "note/2", b"text")).key_id != key_id


async def test_of_two_who_make_the_same_key_the_first_wins() -> None:
    keys = MemoryKeys()

    class Slow(MemoryKeyStore):
        """Says that there is no key yet, as it was when both asked."""

        async def current(self, subject: str, period: int) -> KeyRow | None:
            return None

    first = await keyring(keys, store=Slow(keys)).seal("user", "a", b"x")
    second = await keyring(keys, store=Slow(keys)).seal("user", "a", b"x")
    assert first.key_id == second.key_id
    assert first.nonce != second.nonce


async def test_each_month_and_each_subject_has_its_own_key() -> None:
    keys, clock = MemoryKeys(), ManualClock(NOVEMBER_MS)
    ring = keyring(keys, clock)
    november = await ring.seal("user", "a", b"x")
    other = await ring.seal("other", "a", b"x")
    await clock.advance(31 * 24 * 3600 * 1000)
    december = await ring.seal("user", "a", b"x")
    assert len({november.key_id, other.key_id, december.key_id}) == 3
    assert await ring.open(november, "a") == b"x"


async def test_the_cache_is_bounded() -> None:
    keys = MemoryKeys()
    asked = 0

    def count(step: str, partition: int) -> None:
        nonlocal asked
        asked += step == "get"

    ring = keyring(keys, store=MemoryKeyStore(keys, fault=count), keys_max=2)
    sealed = [await ring.seal(f"user-{n}", "a", b"x") for n in range(4)]
    assert await ring.open(sealed[3], "a") == b"x"
    assert asked == 0
    assert await ring.open(sealed[0], "a") == b"x"
    assert asked == 1


async def test_without_the_key_store_nothing_new_is_sealed() -> None:
    def away(step: str, partition: int) -> None:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await keyring(MemoryKeys(), store=MemoryKeyStore(MemoryKeys(), fault=away)).seal("user", "a", b"x")


async def test_a_key_destroyed_elsewhere_seals_nothing_after_two_seconds() -> None:
    keys, clock = MemoryKeys(), ManualClock(NOVEMBER_MS)
    here, elsewhere = keyring(keys, clock), keyring(keys, clock)
    old = await here.seal("user", "a", b"x")
    forced = NOVEMBER_MS + 3_600_000
    assert not await elsewhere.force("user", forced)
    assert await elsewhere.force("user", forced)
    assert await elsewhere.destroy("user", forced) == 1
    assert (await here.seal("user", "a", b"x")).key_id == old.key_id
    await clock.advance(int(SEALING_SECONDS_MAX * 1000))
    new = await here.seal("user", "a", b"new")
    assert new.key_id != old.key_id
    assert await elsewhere.open(new, "a") == b"new"
    assert await elsewhere.open(old, "a") is None


async def test_whoever_destroys_a_key_opens_nothing_with_it_at_once() -> None:
    keys = MemoryKeys()
    ring = keyring(keys)
    sealed = await ring.seal("user", "a", b"x")
    key_id, _ = await ring.content_key("user")
    await ring.force("user", NOVEMBER_MS + 1)
    await ring.destroy("user", NOVEMBER_MS + 1)
    assert await ring.open(sealed, "a") is None
    assert await ring.content_key_by_id(key_id) is None


async def test_a_key_that_was_on_its_way_when_another_was_forced_is_not_used() -> None:
    keys = MemoryKeys()
    forced = NOVEMBER_MS + 3_600_000

    class Overtaken(MemoryKeyStore):
        """Whoever asks here is told what was true before the new key was forced."""

        async def current(self, subject: str, period: int) -> KeyRow | None:
            await keyring(keys).force(subject, forced)
            return None

    sealed = await keyring(keys, store=Overtaken(keys)).seal("user", "a", b"x")
    assert [(row.key_id, row.period) for row in keys.rows.values()] == [(sealed.key_id, forced)]


async def test_a_forced_key_stays_when_a_month_begins_before_its_period() -> None:
    keys, clock = MemoryKeys(), ManualClock(NOVEMBER_MS)
    ring = keyring(keys, clock)
    await ring.force("user", NOVEMBER_MS + 40 * 24 * 3600 * 1000)
    first = await ring.seal("user", "a", b"x")
    await clock.advance(31 * 24 * 3600 * 1000)
    assert (await ring.seal("user", "a", b"x")).key_id == first.key_id
    await clock.advance(31 * 24 * 3600 * 1000)
    assert (await ring.seal("user", "a", b"x")).key_id != first.key_id


async def test_fingerprints_ask_the_key_store_once_a_minute_and_sealing_every_two_seconds() -> None:
    keys, clock = MemoryKeys(), ManualClock(NOVEMBER_MS)
    asked: list[str] = []
    ring = keyring(keys, clock, store=MemoryKeyStore(keys, fault=lambda step, _: asked.append(step)))
    await ring.seal("user", "a", b"x")
    asked.clear()
    await clock.advance(int(SEALING_SECONDS_MAX * 1000))
    key_id, _ = await ring.content_key("user")
    assert asked == []
    assert (await ring.seal("user", "a", b"x")).key_id == key_id
    assert asked == ["current"]
    await clock.advance(int(CACHE_SECONDS_MAX * 1000))
    await ring.content_key("user")
    assert asked == ["current", "current"]


async def test_a_jump_of_the_machines_clock_makes_no_keys_of_the_future_once_it_is_over() -> None:
    keys, clock = MemoryKeys(), ManualClock(NOVEMBER_MS)
    ring = keyring(keys, clock)
    clock.jump(400 * 24 * 3_600_000)
    await ring.seal("during", "a", b"x")
    clock.jump(-400 * 24 * 3_600_000)
    await ring.seal("after", "a", b"x")
    assert [row.period for row in keys.rows.values() if row.subject == "after"] == [period_of(NOVEMBER_MS)]
