"""A lapse of the own heartbeat: others may have taken the owner for gone, so that it claims anew, once."""

from __future__ import annotations

from chapar_sourcing.owner import HeartbeatLapsed, OwnerPhase

from .accounts import add
from .rig import owning, successor


def test_an_owner_whose_heartbeat_lapsed_claims_anew() -> None:
    rig = owning()
    epoch = rig.owner.epoch
    rig.give(HeartbeatLapsed())
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    rig.tick()
    rig.finish_taking_over()
    assert rig.owner.epoch == epoch + 1


def test_a_successors_claim_that_comes_late_is_void_after_a_lapse() -> None:
    rig = owning()
    late = successor(rig)
    late.start()
    late.read()
    rig.give(HeartbeatLapsed())
    rig.tick()
    rig.finish_taking_over()
    rig.log.append(late.appends[0].data)
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.land()
    rig.read()
    assert rig.outcome(ticket).reason == ""
    assert rig.owner.phase is OwnerPhase.OWNING


def test_a_lapse_while_a_block_is_sought_leads_to_a_claim_after_it_is_found() -> None:
    rig = owning()
    epoch = rig.owner.epoch
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.land(known=False)
    rig.give(HeartbeatLapsed())
    assert rig.owner.phase is OwnerPhase.OWNING
    rig.read()
    assert rig.outcome(ticket).reason == ""
    rig.tick()
    assert rig.owner.phase is not OwnerPhase.OWNING
    rig.finish_taking_over()
    assert rig.owner.epoch == epoch + 1


def test_an_acknowledgement_that_comes_while_the_log_is_read_on_changes_nothing() -> None:
    """Its block is in what is read: it counts once, when it is folded."""
    rig = owning()
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.give(HeartbeatLapsed())
    rig.tick()
    assert rig.owner.phase is OwnerPhase.READING
    rig.land()
    assert ticket not in rig.replies
    rig.finish_taking_over()
    assert (rig.reason(ticket), rig.count("a"), rig.alarm) == ("", 1, "")


def test_a_failure_that_is_told_while_the_log_is_read_on_changes_nothing() -> None:
    rig = owning()
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.give(HeartbeatLapsed())
    rig.tick()
    rig.fail_append(certain=True)
    rig.tick()
    assert rig.owner.phase is OwnerPhase.READING
    assert not rig.appends, "whether it is in the log is not known before the next claim is folded"
    rig.finish_taking_over()
    rig.flush()
    rig.land()
    assert (rig.reason(ticket), rig.count("a"), rig.alarm) == ("", 1, "")


def test_one_lapse_leads_to_one_claim() -> None:
    rig = owning()
    epoch = rig.owner.epoch
    rig.give(HeartbeatLapsed())
    rig.tick()
    rig.finish_taking_over()
    for _ in range(3):
        rig.tick()
    assert (rig.owner.phase, rig.owner.epoch) == (OwnerPhase.OWNING, epoch + 1)


def test_who_finds_its_block_and_a_successors_claim_after_a_lapse_has_ended() -> None:
    rig = owning()
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.land(known=False)
    rig.give(HeartbeatLapsed())
    rig.log.claimed_by_another()
    rig.read()
    assert (rig.reason(ticket), rig.owner.phase) == ("", OwnerPhase.DEPOSED)
    rig.tick()
    assert (rig.owner.phase, rig.reads) == (OwnerPhase.DEPOSED, [])


def test_a_log_whose_only_record_was_replaced_is_noticed() -> None:
    rig = owning()
    rig.log.records.clear()
    rig.log.claimed_by_another()
    rig.give(HeartbeatLapsed())
    rig.tick()
    rig.read()
    assert "was cut" in rig.alarm
