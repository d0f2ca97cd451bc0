"""The answers that an owner remembers: what leaves, and what is known of ids that left."""

from __future__ import annotations

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.owner.answers import Answers
from chapar_sourcing.owner.blocks import Answer
from chapar_sourcing.positions import Position

ID = ("user:alice", b"1" * 16)


def durable(answers: Answers, offset: int, time_ms: int) -> Answer:
    answer = Answer(journal.Entry(), time_ms, Position(offset, 0))
    answers.durable(ID, answer)
    return answer


def evict(answers: Answers, floor: int) -> int:
    return answers.evict(floor, answers_max=0, before_ms=0, at_once_max=10)


def test_ids_as_old_as_what_left_are_not_surely_new() -> None:
    answers = Answers()
    durable(answers, 3, 700)
    assert evict(answers, 2) == 0
    assert (answers.complete_after, answers.surely_new_after_ms) == (-1, None)
    assert evict(answers, 3) == 1
    assert (answers.complete_after, answers.surely_new_after_ms) == (3, 700)


def test_what_is_surely_new_never_goes_back() -> None:
    answers = Answers()
    answers.start(2, 900)
    assert answers.complete_after == 2
    durable(answers, 3, 700)
    assert evict(answers, 3) == 1
    assert (answers.complete_after, answers.surely_new_after_ms) == (3, 900)


def test_the_later_answer_to_an_id_stays_when_the_earlier_one_leaves() -> None:
    answers = Answers()
    durable(answers, 3, 700)
    later = durable(answers, 4, 800)
    assert evict(answers, 3) == 1
    assert answers.get(ID) is later
    assert evict(answers, 4) == 1
    assert answers.get(ID) is None


def test_an_answer_that_is_not_durable_yet_stays_when_an_earlier_one_leaves() -> None:
    answers = Answers()
    durable(answers, 3, 700)
    undurable = Answer(journal.Entry(), 800)
    answers.decided(ID, undurable)
    assert evict(answers, 3) == 1
    assert answers.get(ID) is undurable


def test_an_answer_that_was_undone_meanwhile_can_leave() -> None:
    answers = Answers()
    durable(answers, 3, 700)
    answers.decided(ID, Answer(journal.Entry(), 800))
    answers.undone(ID)
    assert evict(answers, 3) == 1
    assert len(answers) == 0


def test_few_leave_at_once_and_none_that_is_young_enough() -> None:
    answers = Answers()
    for offset in range(3):
        answers.durable(("user:alice", bytes([offset]) * 16), Answer(journal.Entry(), 700, Position(offset, 0)))
    assert answers.evict(9, answers_max=9, before_ms=700, at_once_max=9) == 0
    assert answers.evict(9, answers_max=9, before_ms=701, at_once_max=2) == 2
    assert len(answers) == 1
