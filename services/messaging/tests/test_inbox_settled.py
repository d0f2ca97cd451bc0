"""An inbox that is built anew from the logs means what the one before it meant."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chapar_messaging.domain.messages.deletions import block_of
from chapar_messaging.inbox import (
    HEAD,
    fields_of_deletion,
    fields_of_joining,
    fields_of_leaving,
    fields_of_message,
    row_of,
    settled,
)

from .play import GROUP


def merged(parts: list[dict[str, bytes]]) -> dict[str, bytes]:
    fields: dict[str, bytes] = {}
    for part in parts:
        fields.update({name: max(value, fields.get(name, b"")) for name, value in part.items()})
    return fields


@given(
    first_visible=st.integers(1, 600),
    earlier=st.lists(st.tuples(st.integers(1, 600), st.booleans())),
    later=st.lists(st.tuples(st.integers(0, 600), st.booleans())),
    deleted=st.lists(st.integers(1, 1_100)),
    changes=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    marked=st.integers(0, 1_300),
)
def test_what_is_settled_of_a_row_shows_the_same_inbox(
    first_visible: int, earlier: list[tuple[int, bool]], later: list[tuple[int, bool]], deleted: list[int],
    changes: tuple[int, int], marked: int,
) -> None:  # fmt: skip
    blocks: dict[int, int] = {}
    for sequence in deleted:
        blocks[block_of(sequence)] = blocks.get(block_of(sequence), 0) | 1 << sequence % 256
    fields = merged(
        [
            dict(part)
            for part in (
                fields_of_joining(changes[0], first_visible, 650),
                *(fields_of_message(s, s, own=own) for s, own in earlier if s < first_visible),
                *(fields_of_message(first_visible + s, 700 + s, own=own) for s, own in later),
                *(fields_of_deletion(changes[1], b * 256, bits.to_bytes(32, "big")) for b, bits in blocks.items()),
            )
        ]
    )
    anew = settled(fields)
    assert row_of(GROUP, anew, marked) == row_of(GROUP, fields, marked)
    assert settled(anew) == anew
    assert HEAD not in anew or int.from_bytes(anew[HEAD], "big") >= first_visible
    without_the_past = merged([dict(fields_of_joining(changes[0], first_visible, 650)), dict(anew)])
    assert settled(without_the_past) == anew


def test_nothing_is_settled_of_a_row_whose_user_is_out() -> None:
    fields = merged([dict(fields_of_message(3, 5, own=True)), dict(fields_of_leaving(4))])
    assert settled(fields) == {}
    assert settled(fields_of_message(3, 5, own=False)) == {}
