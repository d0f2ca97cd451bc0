from __future__ import annotations

import pytest

from chapar_messaging.ids import Direct, Group, direct_conversation_id, parse_conversation_id

from .play import ARASH, BAHAR, DIRECT, GROUP


def test_the_two_forms() -> None:
    assert parse_conversation_id(DIRECT) == Direct(ARASH, BAHAR)
    assert parse_conversation_id(GROUP) == Group(ARASH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        f"d.{BAHAR}.{ARASH}",
        f"d.{ARASH}.{ARASH}",
        f"d.{ARASH.upper()}.{BAHAR}",
        f"{DIRECT}\n",
        f" {DIRECT}",
        f"d.{ARASH}.{BAHAR}.{BAHAR}",
        f"d.{'1' * 26}.{'2' * 26}",
        GROUP[:-1],
        f"{GROUP}0",
        GROUP[:-1] + "F",
        GROUP[:-1] + "٠",
        f"g.{ARASH[:-1]}\0.{'0' * 32}",
        f"x{GROUP[1:]}",
    ],
)
def test_nothing_but_the_canonical_form_is_an_id(text: str) -> None:
    assert parse_conversation_id(text) is None


def test_a_direct_conversation_is_the_same_from_both_ends() -> None:
    assert direct_conversation_id(ARASH, BAHAR) == direct_conversation_id(BAHAR, ARASH) == DIRECT
    with pytest.raises(ValueError, match="nobody talks to themselves"):
        direct_conversation_id(ARASH, ARASH)
