"""How names, positions and fields are written for a database of MongoDB's protocol; no server is needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar_sourcing.adapters.mongo._layout import document_id, joined, ordered_position, position_of
from chapar_sourcing.adapters.mongo._rows import field_name, plain_name
from chapar_sourcing.domain import Key
from chapar_sourcing.positions import NOWHERE, Position

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
TRICKY_NAMES = st.one_of(NAMES, st.text("%.$25E4Fa", max_size=6))
POSITIONS = st.builds(Position, st.integers(-1, 2**63 - 1), st.integers(-1, 2**31 - 1))


@given(POSITIONS, POSITIONS)
def test_positions_order_as_their_texts_do(one: Position, other: Position) -> None:
    assert (one < other) == (ordered_position(one) < ordered_position(other))
    assert position_of(ordered_position(one)) == one


def test_a_position_before_everything_is_refused() -> None:
    assert position_of(ordered_position(NOWHERE)) == NOWHERE
    for position in (Position(-2, 0), Position(0, -2)):
        with pytest.raises(ValueError, match="before everything"):
            ordered_position(position)


@given(st.tuples(NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES))
def test_different_names_have_different_ids(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (document_id("1.1", Key(*one)) == document_id("1.1", Key(*other))) == (one == other)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a\udfff"])
def test_names_that_no_server_keeps_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"NUL|surrogates"):
        joined("a", name)


@given(TRICKY_NAMES)
def test_every_name_of_a_field_can_be_carried_and_read_back(name: str) -> None:
    carried = field_name(name)
    assert plain_name(carried) == name
    assert carried
    assert not set(".$\0") & set(carried)


def test_a_field_whose_name_has_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        field_name("a\0")
