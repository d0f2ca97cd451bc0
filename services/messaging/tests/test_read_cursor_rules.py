from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chapar_messaging.domain.read_cursors.documents import read_sequence_in
from chapar_sourcing.domain import Refused

from .play import ARASH, BAHAR, DIRECT, GROUP, Play, kinds, mark_read


@given(st.lists(st.integers(0, 10), max_size=20))
def test_a_read_cursor_is_the_highest_sequence_that_was_marked(marks: list[int]) -> None:
    play = Play()
    for sequence in marks:
        before = read_sequence_in(play.documents, ARASH, GROUP)
        moved = kinds(play.when(mark_read(ARASH, sequence)))
        assert moved == (["read_cursor_moved"] if sequence > before else [])
    assert read_sequence_in(play.documents, ARASH, GROUP) == max(marks, default=0)


def test_cursors_of_users_and_conversations_are_apart() -> None:
    play = Play().given(mark_read(ARASH, 3), mark_read(BAHAR, 4), mark_read(ARASH, 5, DIRECT))
    assert read_sequence_in(play.documents, ARASH, GROUP) == 3
    assert read_sequence_in(play.documents, BAHAR, GROUP) == 4
    assert read_sequence_in(play.documents, ARASH, DIRECT) == 5


def test_nothing_is_marked_in_a_conversation_that_the_inbox_does_not_list() -> None:
    command = mark_read(ARASH, 3)
    command.mark_read.listed = False
    play = Play()
    assert play.when(command) == Refused("REASON_CONVERSATION_UNKNOWN")
    assert play.documents == {}
