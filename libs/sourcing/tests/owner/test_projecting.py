"""What the store is given, in which order, and what a checkpoint promises."""

from __future__ import annotations

from chapar_sourcing.domain import decode
from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner import CheckpointConfirmed, OwnerPhase
from chapar_sourcing.owner.projection import RECORDS_WITHOUT_DOCUMENTS_MAX

from .accounts import Account, Accounts, account_key, add, note_key, unpin
from .rig import JOURNAL_ID, owning, successor


def test_only_durable_changes_are_projected() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    assert rig.owner.take_projection(100) is None
    rig.land()
    rig.send(add("a"))
    batch = rig.owner.take_projection(100)
    assert batch is not None
    (account,) = [w for w in batch.documents if w.key == account_key("a")]
    assert account.data is not None
    assert decode(Accounts.documents, account.key, account.data) == Account(1, rig.owner.fold.time_ms)
    assert account.position == rig.owner.position_of(account_key("a"))


def test_a_batch_is_the_same_until_it_is_confirmed() -> None:
    rig = owning()
    rig.done(add("a"))
    batch = rig.owner.take_projection(100)
    assert batch is not None
    rig.done(add("a"))
    assert rig.owner.take_projection(100) is batch
    assert rig.owner.confirmed_checkpoint == -1
    rig.give(CheckpointConfirmed(batch.checkpoint.fold.offset))
    assert rig.owner.confirmed_checkpoint == batch.checkpoint.fold.offset
    later = rig.owner.take_projection(100)
    assert later is not None
    assert later.checkpoint.fold == rig.owner.fold


def test_a_checkpoint_names_journal_generation_and_fold() -> None:
    rig = owning()
    rig.done(add("a"))
    batch = rig.owner.take_projection(100)
    assert batch is not None
    assert (batch.checkpoint.journal_id, batch.checkpoint.generation) == (JOURNAL_ID, 1)
    assert batch.checkpoint.fold == rig.owner.fold


def test_the_parts_of_a_cut_batch_move_the_checkpoint_with_the_last_one() -> None:
    rig = owning()
    for name in ("a", "b", "c"):
        rig.done(add(name))
    reached = rig.owner.fold
    folds = []
    while (batch := rig.owner.take_projection(2)) is not None:
        assert len(batch.documents) <= 2
        folds.append(batch.checkpoint.fold)
        rig.shelf.write(batch)
        rig.give(CheckpointConfirmed(batch.checkpoint.fold.offset))
    assert folds == [FoldState(), FoldState(), reached]
    assert len(rig.shelf.documents) == 6


def test_the_checkpoint_moves_even_when_changes_never_cease() -> None:
    rig = owning()
    names = ["a", "b", "c", "d"]
    for name in names:
        rig.done(add(name))
    for _ in range(10):
        rig.project(documents_max=3)
        for name in names[:2]:
            rig.done(add(name))
    assert rig.owner.confirmed_checkpoint > 0


def test_a_successor_of_a_cut_batch_has_everything() -> None:
    for parts in range(1, 8):
        first = owning()
        for name in ("a", "b"):
            first.done(add(name))
        for part in range(parts):
            first.project(documents_max=1)
            if part % 2:
                first.done(add("a", note="n"))
        second = successor(first)
        second.take_over()
        second.done(add("a"))
        second.done(add("b"))
        assert second.count("a") == (first.count("a") or 0) + 1
        assert second.count("b") == 2


def test_a_deletion_is_stored_as_a_tombstone() -> None:
    rig = owning()
    rig.done(add("a", note="x"))
    rig.project()
    rig.done(unpin("a", 1))
    assert rig.owner.peek(note_key("a", 1)) == (True, None)
    rig.project()
    assert rig.shelf.documents[note_key("a", 1)].data is None
    second = successor(rig)
    second.take_over()
    second.send(unpin("a", 1))
    second.load_all()
    assert second.owner.peek(note_key("a", 1)) == (True, None)


def test_the_checkpoint_follows_records_without_documents_now_and_then() -> None:
    rig = owning()
    while rig.owner.fold.offset < RECORDS_WITHOUT_DOCUMENTS_MAX - 2:
        rig.ask(append=True)
        rig.flush()
        rig.land()
    assert rig.owner.take_projection(100) is None
    rig.ask(append=True)
    rig.flush()
    rig.land()
    batch = rig.owner.take_projection(100)
    assert batch is not None
    assert not batch.documents
    assert batch.checkpoint.fold == rig.owner.fold


def test_what_was_replayed_is_projected_by_the_next_owner() -> None:
    first = owning()
    first.done(add("a", note="x"))
    second = successor(first)
    second.take_over()
    while second.project():
        pass
    assert {key.kind for key in second.shelf.documents} == {"account", "note", "answer"}
    assert second.owner.backlog == 0
    assert second.shelf.checkpoint is not None
    assert second.shelf.checkpoint.fold == second.owner.fold
    assert second.owner.phase is OwnerPhase.OWNING


def test_the_store_is_between_two_checkpoints_from_a_rounds_first_batch_to_its_last() -> None:
    rig = owning()
    rig.done(add("a"))
    assert not rig.owner.projecting
    between = []
    while (batch := rig.owner.take_projection(1)) is not None:
        between.append(rig.owner.projecting)
        rig.give(CheckpointConfirmed(batch.checkpoint.fold.offset))
        between.append(rig.owner.projecting)
    assert between == [True, True, True, False]
