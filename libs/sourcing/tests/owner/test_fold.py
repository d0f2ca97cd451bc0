"""The fold rule: what counts, what is void, and what means that the log was damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import RECENT_MAX, ZERO_HASH, FoldState, LogDamaged, Verdict, chained, fold

A, B = b"a" * 16, b"b" * 16


def claim(epoch: int, writer: bytes = A, *, at: FoldState | None = None, time_ms: int = 0) -> bytes:
    folded = at or FoldState()
    return journal.Record(
        claim=journal.Claim(
            epoch=epoch, writer=writer, folded_offset=folded.offset, folded_hash=folded.hash, time_ms=time_ms
        )
    ).SerializeToString()


def block(
    state: FoldState, *, epoch: int = 1, writer: bytes = A, sequence: int | None = None,
    previous: bytes | None = None, time_ms: int = 0,
) -> bytes:  # fmt: skip
    return journal.Record(
        block=journal.Block(
            epoch=epoch,
            writer=writer,
            sequence=state.sequence + 1 if sequence is None else sequence,
            previous_hash=state.hash if previous is None else previous,
            time_ms=time_ms,
        )
    ).SerializeToString()


def folded(*records: bytes) -> FoldState:
    state = FoldState()
    for record in records:
        state, _, _ = fold(state, state.offset + 1, record)
    return state


def claimed(epoch: int = 1) -> FoldState:
    return folded(claim(epoch))


def grown(blocks: int) -> FoldState:
    state = claimed()
    for _ in range(blocks):
        state, _, _ = fold(state, state.offset + 1, block(state))
    return state


def verdict(state: FoldState, data: bytes, offset: int | None = None) -> Verdict:
    return fold(state, state.offset + 1 if offset is None else offset, data)[1]


# ---- what counts


def test_a_first_claim_begins_an_epoch_without_advancing_the_sequence() -> None:
    data = claim(1, time_ms=7)
    state, seen, _ = fold(FoldState(), 3, data)
    assert seen is Verdict.CLAIM
    assert (state.epoch, state.writer, state.sequence, state.time_ms) == (1, A, 0, 7)
    assert (state.offset, state.valid_offset, state.hash) == (3, 3, chained(ZERO_HASH, data))


def test_a_block_of_the_current_writer_counts_and_chains() -> None:
    state = claimed()
    data = block(state, time_ms=9)
    after, seen, record = fold(state, 5, data)
    assert seen is Verdict.BLOCK
    assert record.block.sequence == 1
    assert (after.sequence, after.hash, after.time_ms, after.offset) == (1, chained(state.hash, data), 9, 5)


def test_a_claim_of_any_higher_epoch_counts() -> None:
    assert verdict(grown(2), claim(9, B, at=grown(2))) is Verdict.CLAIM


def test_time_never_goes_back() -> None:
    state = folded(claim(1, time_ms=50))
    after, _, _ = fold(state, 1, block(state, time_ms=20))
    assert after.time_ms == 50
    after, _, _ = fold(after, 2, claim(2, B, at=after, time_ms=10))
    assert after.time_ms == 50


# ---- what is void


def test_a_claim_of_an_epoch_that_is_not_greater_is_void() -> None:
    for epoch in (0, 1, 2):
        assert verdict(claimed(2), claim(epoch, B)) is Verdict.VOID


def test_a_void_record_moves_nothing_but_the_offset() -> None:
    state = grown(1)
    after, _, _ = fold(state, 8, claim(1, B))
    assert after == replace(state, offset=8)


def test_blocks_of_deposed_writers_are_void() -> None:
    state = grown(1)
    deposed, _, _ = fold(state, state.offset + 1, claim(2, B, at=state))
    assert verdict(deposed, block(deposed, epoch=1)) is Verdict.VOID
    assert verdict(deposed, block(deposed, epoch=1, writer=A)) is Verdict.VOID
    assert verdict(deposed, block(state, epoch=1, sequence=99, previous=b"?" * 32)) is Verdict.VOID


def test_a_block_that_was_written_twice_is_void_the_second_time() -> None:
    state = claimed()
    data = block(state)
    after, _, _ = fold(state, 1, data)
    assert verdict(after, data) is Verdict.VOID
    later, _, _ = fold(after, 2, block(after))
    assert verdict(later, data) is Verdict.VOID


# ---- alarms


@pytest.mark.parametrize("state", [FoldState(), grown(1)])
def test_a_block_whose_claim_is_missing_is_an_alarm(state: FoldState) -> None:
    """The log was cut and has grown again past its reader, or a claim in it was changed."""
    changed = [{"epoch": state.epoch + 1}, {"writer": B}, {"epoch": state.epoch + 9}, {"epoch": state.epoch - 1}]
    for missing in (block(state, **how) for how in changed if how.get("epoch") != -1):
        with pytest.raises(LogDamaged, match="whose claim is not in this log"):
            verdict(state, missing)


def test_a_block_of_nobody_is_an_alarm_in_a_log_that_nobody_claimed() -> None:
    with pytest.raises(LogDamaged, match="whose claim is not in this log"):
        verdict(FoldState(), block(FoldState(), epoch=0, writer=b""))


def test_a_block_that_leaves_one_out_is_an_alarm() -> None:
    state = grown(1)
    with pytest.raises(LogDamaged, match="follows block 1"):
        verdict(state, block(state, sequence=3))


def test_a_block_at_or_below_its_writers_claim_is_an_alarm() -> None:
    state = grown(3)
    state, _, _ = fold(state, state.offset + 1, claim(2, B, at=state))
    for sequence in (0, 2, 3):
        with pytest.raises(LogDamaged, match="older than its writer's claim"):
            verdict(state, block(state, epoch=2, writer=B, sequence=sequence))


def test_a_block_after_another_history_is_an_alarm() -> None:
    state = grown(2)
    with pytest.raises(LogDamaged, match="another history"):
        verdict(state, block(state, previous=b"?" * 32))


def test_a_claim_that_folded_another_log_is_an_alarm() -> None:
    state = grown(3)
    with pytest.raises(LogDamaged, match="folded another log"):
        verdict(state, claim(2, B, at=replace(state, hash=b"?" * 32)))


def test_a_claim_that_folded_another_past_is_an_alarm_even_when_it_is_void() -> None:
    past = grown(2)
    state = grown(4)
    with pytest.raises(LogDamaged, match="folded another log"):
        verdict(state, claim(1, B, at=replace(past, hash=b"?" * 32)))


def test_a_claim_that_folded_nothing_and_says_otherwise_is_an_alarm() -> None:
    with pytest.raises(LogDamaged, match="folded another log"):
        verdict(grown(RECENT_MAX * 2), claim(2, B, at=FoldState(hash=b"?" * 32)))


def test_a_claim_that_has_read_further_than_the_log_reaches_is_an_alarm() -> None:
    state = grown(1)
    for ahead in (state.offset + 1, state.offset + 5):
        with pytest.raises(LogDamaged, match="cut and grew again"):
            verdict(state, claim(2, B, at=replace(state, offset=ahead)))


def test_a_late_claim_that_folded_the_true_past_is_merely_void() -> None:
    early, state = grown(1), grown(5)
    assert verdict(state, claim(1, B, at=early)) is Verdict.VOID


def test_a_claims_past_is_judged_by_the_last_record_that_counted_by_then() -> None:
    state = grown(2)
    with_void, _, _ = fold(state, 10, claim(1, B))
    grown_on, _, _ = fold(with_void, 11, block(with_void))
    assert verdict(grown_on, claim(2, B, at=with_void)) is Verdict.CLAIM


def test_a_claims_past_beyond_what_is_remembered_cannot_be_judged() -> None:
    early = grown(1)
    assert verdict(grown(RECENT_MAX + 5), claim(2, B, at=replace(early, hash=b"?" * 32))) is Verdict.CLAIM


def test_offsets_that_do_not_grow_are_an_alarm() -> None:
    state = grown(1)
    for offset in (state.offset, state.offset - 1):
        with pytest.raises(LogDamaged, match="was read after"):
            verdict(state, claim(2, B, at=state), offset)


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b""], ids=["broken", "empty"])
def test_a_record_that_cannot_be_read_is_an_alarm(data: bytes) -> None:
    with pytest.raises(LogDamaged):
        verdict(claimed(), data)


def test_a_claim_without_a_writer_is_an_alarm() -> None:
    with pytest.raises(LogDamaged, match="names no writer"):
        verdict(claimed(), claim(2, b"short", at=claimed()))


def test_only_so_much_of_the_past_is_remembered() -> None:
    assert len(grown(RECENT_MAX * 2).recent) == RECENT_MAX


def test_a_reader_that_remembers_only_the_last_record_judges_claims_by_it() -> None:
    state = replace(grown(3), recent=())
    with pytest.raises(LogDamaged, match="folded another log"):
        verdict(state, claim(2, B, at=replace(state, hash=b"?" * 32)))


def test_a_state_knows_the_last_record_that_counted() -> None:
    first, later = claim(1), grown(2)
    assert folded(first).ends_with(0, first)
    assert not folded(first).ends_with(1, first)
    assert not folded(first).ends_with(0, claim(1, B))
    last = block(grown(1))
    assert later.ends_with(later.offset, last)
    assert not later.ends_with(later.offset, block(grown(1), time_ms=1))
    forgetful = replace(later, recent=())
    assert forgetful.ends_with(later.offset, b"anything")
    assert not forgetful.ends_with(later.offset - 1, last)
