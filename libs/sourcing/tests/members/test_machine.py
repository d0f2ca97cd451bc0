"""When a member takes, claims and releases, case by case."""

from __future__ import annotations

import pytest

from chapar_sourcing.members import (
    Announce,
    BeatRead,
    ClaimAsked,
    Doubt,
    Drained,
    DrainStarted,
    MayClaim,
    Owning,
    Quit,
    Release,
    Tick,
)
from chapar_sourcing.members.fitness import FIT_BEATS, UNFIT_BEATS
from chapar_sourcing.members.holdings import Stage
from chapar_sourcing.members.machine import OUTRANKED_SECONDS, PARALLEL_AFTER_SECONDS
from chapar_sourcing.members.peers import EXPIRY_BEATS
from chapar_sourcing.members.ranking import assigned
from chapar_sourcing.ports.members import Announcement

from .rig import INTERVAL, ME, Rig, member, mine

OTHER, THIRD = member(1), member(2)
RETURN_BEATS = 8
"""Own beats after an outage that do not count: two seconds and an interval."""


def owning(rig: Rig, *others: bytes) -> list[int]:
    """Has the machine own what it should, undisputed."""
    rig.turns(2, *others)
    taken = rig.taken()
    for partition in taken:
        rig.pass_through(rig.give(ClaimAsked(partition, 0, first=True)))
    assert [effect.partition for effect in rig.take(MayClaim)] == taken
    for partition in taken:
        rig.pass_through(rig.give(Owning(partition, 1)))
    for said in rig.take(Announce):
        rig.announced(said.announcement.partition, said.announcement.epoch, ME)
    return taken


# ---- beats


def test_a_beat_is_sent_at_once_and_then_an_interval_after_the_last_one_ended() -> None:
    rig = Rig()
    (first,) = rig.give(Tick())
    assert (first.sequence, first.extra, first.draining, first.address) == (1, False, False, "me:1")
    assert rig.give(Tick()) == []
    rig.now += 10
    assert rig.give(Tick()) == []
    assert rig.ended(first) == []
    rig.now += INTERVAL - 0.01
    assert rig.give(Tick()) == []
    rig.now += 0.02
    assert [beat.sequence for beat in rig.give(Tick())] == [2]


def test_a_beat_out_of_turn_does_not_move_the_next_turn() -> None:
    rig = Rig()
    owning(rig)
    rig.now += INTERVAL / 2
    (extra,) = rig.give(ClaimAsked(0, 1, first=False))
    assert extra.extra
    rig.ended(extra)
    rig.now += INTERVAL / 2 + 0.01
    (regular,) = rig.give(Tick())
    assert not regular.extra


def test_a_beat_out_of_turn_that_fails_is_not_sent_again_before_its_turn() -> None:
    rig = Rig()
    owning(rig)
    (extra,) = rig.give(ClaimAsked(0, 1, first=False))
    assert rig.ended(extra, acknowledged=False) == []
    rig.now += INTERVAL + 0.01
    (regular,) = rig.give(Tick())
    assert not regular.extra
    rig.pass_through([regular])
    assert [effect.partition for effect in rig.take(MayClaim)] == [0]


# ---- taking


def test_the_only_member_takes_everything_at_its_second_beat() -> None:
    rig = Rig()
    rig.turn()
    assert rig.taken() == []
    assert not rig.machine.settled
    rig.turn()
    assert rig.taken() == [0, 1, 2, 3]
    assert not rig.machine.settled


@pytest.mark.parametrize("ranks_before", [False, True])
def test_an_owner_is_succeeded_after_five_own_beats_without_one_of_it(ranks_before: bool) -> None:
    other = next(m for m in map(member, range(1, 100)) if (assigned(1, {ME, m})[0] == ME) is ranks_before)
    rig = Rig(partitions=1)
    rig.turn(other)
    rig.announced(0, 3, other)
    rig.turns(20, other)  # Its last beat is followed by one of ours.
    rig.turns(3)
    assert rig.taken() == []
    # Whoever ranks best only once the other has expired must rank so twice.
    rig.turns(1 if ranks_before else 2)
    assert rig.taken() == [0]


def test_an_owner_that_was_never_heard_of_expires_like_all_others() -> None:
    rig = Rig(partitions=1)
    rig.turn()
    rig.announced(0, 3, OTHER)
    rig.turns(4)
    assert rig.taken() == []
    rig.turn()
    assert rig.taken() == [0]


def test_beats_out_of_turn_and_given_up_ones_expire_nobody() -> None:
    rig = Rig(partitions=1)
    rig.turns(2, OTHER)
    rig.announced(0, 3, OTHER)
    best = assigned(1, {ME, OTHER})[0] == ME
    for _ in range(3):
        lose_a_beat(rig)
    assert rig.taken() == []
    rig.turns(4)
    assert rig.taken() == []
    rig.turns(1 if best else 2)
    assert rig.taken() == [0]


def lose_a_beat(rig: Rig) -> None:
    """A beat in turn is given up and appended all the same."""
    rig.now += INTERVAL
    (beat,) = rig.give(Tick())
    rig.ended(beat, acknowledged=False)
    rig.give(BeatRead(beat))


@pytest.mark.parametrize("lost", [4, 40])
def test_own_beats_soon_after_an_outage_expire_nobody(lost: int) -> None:
    rig = Rig(partitions=1)
    rig.turns(2, OTHER)
    rig.announced(0, 3, OTHER)
    best = assigned(1, {ME, OTHER})[0] == ME
    for _ in range(lost):
        lose_a_beat(rig)
    rig.turns(RETURN_BEATS + 4)
    assert rig.taken() == []
    rig.turns(1 if best else 2)
    assert rig.taken() == [0]


def test_a_beat_that_took_more_than_a_second_is_an_outage_too() -> None:
    rig = Rig(partitions=1)
    rig.turns(2, OTHER)
    rig.announced(0, 3, OTHER)
    rig.now += INTERVAL
    (late,) = rig.give(Tick())
    rig.now += 1.1
    rig.pass_through([late])
    rig.turns(RETURN_BEATS + 3)
    assert rig.taken() == []
    rig.turns(2)
    assert rig.taken() == [0]


def test_where_every_beat_is_late_the_dead_expire_all_the_same() -> None:
    rig = Rig(partitions=1)
    rig.turns(2, OTHER)
    rig.announced(0, 3, OTHER)
    for _ in range(2 * (RETURN_BEATS + EXPIRY_BEATS)):
        rig.now += INTERVAL
        (late,) = rig.give(Tick())
        rig.now += 1.5
        rig.pass_through([late])
    assert rig.taken() == [0]


def test_a_reader_that_does_not_beat_expires_nobody() -> None:
    rig = Rig(partitions=1)
    rig.turns(2, OTHER)
    rig.announced(0, 3, OTHER)
    rig.now += 3_600
    rig.turns(4)
    assert rig.taken() == []


@pytest.mark.parametrize("released_by", [OTHER, THIRD])
def test_a_released_partition_is_taken_at_once_by_whoever_ranked_best_at_its_last_two_beats(
    released_by: bytes,
) -> None:
    rig = Rig(partitions=8)
    for partition in range(8):
        rig.announced(partition, 3, released_by)
    rig.turns(3, OTHER, THIRD)
    assert rig.taken() == []
    for partition in range(8):
        rig.announced(partition, 3, released_by, released=True)
    assert rig.taken() == mine(8, OTHER, THIRD)


def test_members_that_drain_rank_nowhere() -> None:
    rig = Rig(partitions=8)
    for _ in range(3):
        rig.turn(OTHER, THIRD, draining=(OTHER,))
    assert rig.taken() == mine(8, THIRD)


def test_a_member_that_waits_for_the_dead_to_expire_is_not_settled() -> None:
    rig = Rig(partitions=1)
    rig.hear(OTHER)
    rig.announced(0, 3, OTHER)
    for _ in range(4):
        assert not rig.machine.settled
        rig.turn()


def test_a_member_beside_a_healthy_owner_is_settled() -> None:
    rig = Rig(partitions=8)
    for partition in range(8):
        rig.announced(partition, 3, OTHER)
    rig.turns(2, OTHER)
    assert rig.machine.settled


# ---- claiming


def test_a_claim_is_judged_behind_an_own_beat_sent_after_it_was_asked_for() -> None:
    rig = Rig(partitions=1)
    rig.turn()
    rig.now += INTERVAL
    (before,) = rig.give(Tick())
    rig.ended(before)
    rig.give(BeatRead(before))
    assert rig.taken() == [0]
    (extra,) = rig.give(ClaimAsked(0, 0, first=True))
    assert extra.extra
    rig.give(BeatRead(before))
    assert rig.take(MayClaim) == []
    rig.ended(extra)
    assert rig.take(MayClaim) == []
    rig.give(BeatRead(extra))
    assert rig.take(MayClaim) == [MayClaim(0, extra.sequence)]
    rig.turns(5)
    assert rig.take(MayClaim) == []


def test_a_beat_under_way_when_a_claim_is_asked_for_proves_nothing() -> None:
    rig = Rig(partitions=1)
    rig.turns(2)
    rig.now += INTERVAL
    (under_way,) = rig.give(Tick())
    assert rig.give(ClaimAsked(0, 0, first=True)) == []
    (extra,) = rig.ended(under_way)
    rig.give(BeatRead(under_way))
    assert rig.take(MayClaim) == []
    rig.ended(extra)
    rig.give(BeatRead(extra))
    assert rig.take(MayClaim) == [MayClaim(0, extra.sequence)]


def test_a_sleeper_does_not_claim_over_whoever_took_over_meanwhile() -> None:
    rig = Rig(partitions=1)
    rig.announced(0, 3, OTHER)
    rig.turns(6)
    assert rig.taken() == [0]
    rig.now += 60
    (extra,) = rig.give(ClaimAsked(0, 3, first=True))
    rig.ended(extra)
    # What happened meanwhile stands before the own beat.
    rig.hear(THIRD)
    rig.announced(0, 4, THIRD)
    rig.pass_through(rig.give(BeatRead(extra)))
    assert rig.take(MayClaim) == []
    assert [(effect.partition, effect.owned) for effect in rig.take(Release)] == [(0, False)]


def test_a_claim_that_nobody_announced_is_left_alone_for_five_beats_while_others_are_alive() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken = rig.taken()
    rig.pass_through(rig.give(ClaimAsked(taken[0], 7, first=True)))
    rig.turns(4, OTHER)
    assert rig.take(MayClaim) == []
    rig.turn(OTHER)
    assert [effect.partition for effect in rig.take(MayClaim)] == taken[:1]


def test_beats_that_were_sent_before_it_was_found_do_not_count_for_a_claim_that_nobody_announced() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken, unread = rig.taken(), []
    for _ in range(6):
        rig.now += INTERVAL + 0.01
        (beat,) = rig.give(Tick())
        rig.ended(beat)
        unread.append(beat)
    beats = rig.give(ClaimAsked(taken[0], 7, first=True))
    for beat in unread:
        rig.hear(OTHER)
        rig.give(BeatRead(beat))
    rig.pass_through(beats)
    assert rig.take(MayClaim) == []
    rig.turns(5, OTHER)
    assert [effect.partition for effect in rig.take(MayClaim)] == taken[:1]


def test_another_claim_that_nobody_announced_is_left_alone_for_as_long() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken = rig.taken()
    rig.pass_through(rig.give(ClaimAsked(taken[0], 7, first=True)))
    rig.turns(4, OTHER)
    rig.pass_through(rig.give(ClaimAsked(taken[0], 8, first=True)))
    rig.turns(4, OTHER)
    assert rig.take(MayClaim) == []
    rig.turn(OTHER)
    assert [effect.partition for effect in rig.take(MayClaim)] == taken[:1]


def test_beats_without_owners_words_do_not_count_for_a_claim_that_nobody_announced() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken = rig.taken()
    rig.pass_through(rig.give(ClaimAsked(taken[0], 7, first=True)))
    rig.owners_known = False
    rig.turns(6, OTHER)
    rig.owners_known = True
    rig.turns(4, OTHER)
    assert rig.take(MayClaim) == []
    rig.turn(OTHER)
    assert [effect.partition for effect in rig.take(MayClaim)] == taken[:1]


def test_a_claim_that_nobody_announced_does_not_hold_up_the_only_member() -> None:
    rig = Rig(partitions=1)
    rig.turns(2)
    rig.pass_through(rig.give(ClaimAsked(0, 7, first=True)))
    assert [effect.partition for effect in rig.take(MayClaim)] == [0]


def test_a_judgement_that_grew_old_unused_is_made_anew_as_a_first_one() -> None:
    rig = Rig(partitions=1)
    rig.announced(0, 3, OTHER)
    rig.turns(6)
    rig.pass_through(rig.give(ClaimAsked(0, 3, first=True)))
    assert len(rig.take(MayClaim)) == 1
    rig.hear(OTHER)
    rig.pass_through(rig.give(ClaimAsked(0, 3, first=True)))
    assert rig.take(MayClaim) == []


def test_an_owner_that_claims_again_needs_nothing_but_a_fresh_beat() -> None:
    rig = Rig(partitions=8)
    (partition, *_) = owning(rig, OTHER)
    rig.announced(partition, 2, OTHER)
    (extra,) = rig.give(ClaimAsked(partition, 1, first=False))
    assert rig.take(MayClaim) == []
    rig.pass_through([extra])
    assert [effect.partition for effect in rig.take(MayClaim)] == [partition]


# ---- where announcements cannot be read


def test_no_first_claim_is_granted_while_announcements_cannot_be_read() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    taken = rig.taken()
    rig.owners_known = False
    rig.pass_through(rig.give(ClaimAsked(taken[0], 0, first=True)))
    rig.turns(UNFIT_BEATS - 2, OTHER)
    assert rig.take(MayClaim) == []
    rig.owners_known = True
    rig.turn(OTHER)
    assert [effect.partition for effect in rig.take(MayClaim)] == taken[:1]


def test_an_owner_claims_again_although_announcements_cannot_be_read() -> None:
    rig = Rig(partitions=8)
    (partition, *_) = owning(rig, OTHER)
    rig.owners_known = False
    rig.pass_through(rig.give(ClaimAsked(partition, 1, first=False)))
    assert [effect.partition for effect in rig.take(MayClaim)] == [partition]


def test_nothing_is_taken_or_handed_over_while_announcements_cannot_be_read() -> None:
    rig = Rig(partitions=8)
    mine_alone = owning(rig)
    rig.owners_known = False
    rig.turns(2 * int(OUTRANKED_SECONDS / INTERVAL), OTHER)
    assert rig.take(Release) == []
    rig.give(Quit(mine_alone[0], deposed=True))
    rig.turns(20)
    assert rig.taken() == []
    rig.owners_known = True
    rig.turns(EXPIRY_BEATS - 1)
    assert rig.taken() == [], "whoever deposed it could not say so before"
    rig.turn()
    assert rig.taken() == mine_alone[:1]


def test_who_does_not_hear_of_owners_for_long_says_that_it_cannot_own_and_is_fit_soon_after_it_does() -> None:
    rig = Rig(partitions=8)
    rig.turns(2, OTHER)
    rig.owners_known = False
    rig.turns(UNFIT_BEATS - 1, OTHER)
    assert not any(beat.unfit for beat in rig.sent)
    rig.turns(200, OTHER)
    assert rig.sent[-1].unfit
    rig.owners_known = True
    rig.turns(FIT_BEATS + 2, OTHER)
    assert not rig.sent[-1].unfit, "it is not stuck: that takes minutes to be forgotten"


# ---- owning, losing


def test_a_higher_epoch_that_was_read_while_it_claimed_makes_an_owner_look_into_its_log() -> None:
    rig = Rig(partitions=1)
    rig.turns(2)
    rig.pass_through(rig.give(ClaimAsked(0, 7, first=True)))
    assert len(rig.take(MayClaim)) == 1
    rig.announced(0, 9, OTHER)
    rig.give(Owning(0, 8))
    assert rig.take(Doubt) == [Doubt(0)]


def test_what_was_compacted_away_before_its_owner_read_it_is_said_again_behind_a_lower_epoch() -> None:
    rig = Rig(partitions=1)
    rig.turns(2)
    rig.give(Owning(0, 5))
    assert len(rig.take(Announce)) == 1
    rig.announced(0, 4, OTHER, released=True)
    assert rig.take(Announce) == [Announce(Announcement(0, 5, ME, "me:1"))]


def test_what_is_owned_is_announced() -> None:
    rig = Rig(partitions=1)
    rig.turns(2)
    rig.give(Owning(0, 5))
    assert rig.take(Announce) == [Announce(Announcement(0, 5, ME, "me:1"))]
    assert rig.machine.settled


def test_the_highest_epoch_counts_and_within_it_the_release() -> None:
    rig = Rig(partitions=1)
    for epoch, released in ((3, False), (2, True), (3, True), (3, False), (1, False)):
        rig.announced(0, epoch, OTHER, released=released)
    assert rig.machine.owners[0] == Announcement(0, 3, OTHER, "other:1", released=True)
    rig.announced(7, 9, OTHER)
    assert set(rig.machine.owners) == {0}


def test_an_owner_repeats_its_word_when_a_lower_one_comes_after_it() -> None:
    rig = Rig(partitions=8)
    (partition, *_) = owning(rig, OTHER)
    rig.announced(partition, 0, OTHER)
    assert rig.take(Announce) == [Announce(Announcement(partition, 1, ME, "me:1"))]


def test_an_owner_looks_into_the_log_when_another_says_that_it_owns() -> None:
    rig = Rig(partitions=8)
    (partition, *_) = owning(rig, OTHER)
    rig.announced(partition, 2, OTHER)
    assert rig.take(Doubt) == [Doubt(partition)]


def test_whoever_was_deposed_waits_for_the_word_of_its_successor() -> None:
    rig = Rig(partitions=1)
    owning(rig)
    rig.give(Quit(0, deposed=True))
    assert not rig.machine.settled
    rig.hear(OTHER)
    rig.announced(0, 2, OTHER)
    rig.turns(4)
    assert rig.taken() == []
    rig.turns(2)
    assert rig.taken() == [0]


def test_whoever_was_deposed_says_so_as_its_successor_may_be_dead_before_it_said_a_word() -> None:
    rig = Rig(partitions=1)
    owning(rig)
    rig.give(Quit(0, deposed=True))
    assert rig.take(Announce) == [Announce(Announcement(0, 1, ME, "me:1", released=True))]


def test_whoever_was_deposed_by_nobody_takes_again_after_five_beats() -> None:
    rig = Rig(partitions=1)
    owning(rig)
    rig.give(Quit(0, deposed=True))
    rig.turns(4)
    assert rig.taken() == []
    rig.turn()
    assert rig.taken() == [0]


# ---- releasing


def test_an_owner_that_is_out_ranked_for_half_a_minute_releases_one_partition_at_a_time() -> None:
    rig = Rig(partitions=8)
    owning(rig)
    assert rig.machine.stage(0) is Stage.OWNING
    others = [p for p in range(8) if p not in mine(8, OTHER)]
    steps = int(OUTRANKED_SECONDS / INTERVAL)
    rig.turns(steps, OTHER)
    assert rig.take(Release) == []
    rig.turns(2, OTHER)
    for partition in others:
        assert rig.take(Release) == [Release(partition, "other:1", owned=True)]
        rig.turns(3, OTHER)
        assert rig.take(Release) == []
        rig.give(Quit(partition, deposed=False))
        (said,) = rig.take(Announce)
        assert said.announcement == Announcement(partition, 1, ME, "me:1", released=True, successor="other:1")
    rig.turns(3, OTHER)
    assert rig.take(Release) == []
    assert rig.taken() == []


def test_a_member_that_comes_and_goes_moves_nothing() -> None:
    rig = Rig(partitions=8)
    owning(rig)
    for _ in range(4):
        rig.turns(60, OTHER)
        rig.turns(6)
    assert rig.take(Release) == []


def test_what_is_being_taken_and_should_be_anothers_is_let_go_at_once() -> None:
    rig = Rig(partitions=8)
    rig.turns(2)
    assert rig.taken() == list(range(8))
    rig.turns(1, OTHER)
    assert [effect.partition for effect in rig.take(Release)] == [p for p in range(8) if p not in mine(8, OTHER)]


# ---- draining


def test_the_only_member_releases_all_at_once_and_is_done() -> None:
    rig = Rig(partitions=4)
    owning(rig)
    rig.give(DrainStarted())
    assert rig.take(Release) == [Release(p, "", owned=True) for p in range(4)]
    for partition in range(4):
        assert rig.take(Drained) == []
        rig.give(Quit(partition, deposed=False))
    assert rig.take(Drained) == [Drained()]
    rig.turns(3)
    assert rig.take(Drained) == []
    assert rig.taken() == []


def test_a_draining_member_waits_until_others_can_take_over_and_releases_one_after_the_other() -> None:
    rig = Rig(partitions=8)
    taken = owning(rig, OTHER)
    (word,) = rig.give(DrainStarted())
    assert word.draining
    assert word.extra
    rig.pass_through([word])
    rig.hear(OTHER)
    rig.hear(OTHER, extra=True)
    assert rig.take(Release) == []
    rig.hear(OTHER)
    for partition in taken:
        assert rig.take(Release) == [Release(partition, "other:1", owned=True)]
        rig.give(Quit(partition, deposed=False))
    assert rig.take(Drained) == [Drained()]


def test_a_draining_member_does_not_wait_for_ever() -> None:
    rig = Rig(partitions=8)
    owning(rig, OTHER)
    rig.give(DrainStarted())
    rig.now += 5 * INTERVAL
    rig.hear(THIRD)
    assert len(rig.take(Release)) == 1


def test_a_draining_member_lets_go_at_once_of_what_it_does_not_own_yet() -> None:
    rig = Rig(partitions=4)
    rig.turns(2)
    rig.give(DrainStarted())
    assert [effect.owned for effect in rig.take(Release)] == [False] * 4


def test_what_is_released_may_be_claimed_again_and_is_announced_under_its_last_epoch() -> None:
    rig = Rig(partitions=1)
    owning(rig)
    rig.pass_through(rig.give(DrainStarted()))
    assert len(rig.take(Release)) == 1
    rig.pass_through(rig.give(ClaimAsked(0, 1, first=False)))
    assert [effect.partition for effect in rig.take(MayClaim)] == [0]
    rig.give(Owning(0, 2))
    assert rig.take(Announce) == []
    rig.give(Quit(0, deposed=False))
    assert rig.take(Announce) == [Announce(Announcement(0, 2, ME, "me:1", released=True))]


def test_a_claim_asked_for_before_the_release_is_judged_in_it() -> None:
    rig = Rig(partitions=1)
    owning(rig)
    (under_way,) = rig.give(ClaimAsked(0, 1, first=False))
    rig.give(DrainStarted())
    assert len(rig.take(Release)) == 1
    rig.pass_through([under_way])
    assert [effect.partition for effect in rig.take(MayClaim)] == [0]


def test_what_was_never_owned_is_not_claimed_once_it_is_let_go() -> None:
    rig = Rig(partitions=1)
    rig.turns(2)
    (under_way,) = rig.give(ClaimAsked(0, 0, first=True))
    rig.give(DrainStarted())
    rig.give(ClaimAsked(0, 0, first=True))
    rig.pass_through([under_way])
    rig.turns(3)
    assert rig.take(MayClaim) == []


def test_the_deadlines_of_a_drain_need_nothing_but_time() -> None:
    rig = Rig(partitions=8)
    taken = owning(rig, OTHER)
    rig.give(DrainStarted())
    rig.now += 4.9 * INTERVAL
    rig.give(Tick())
    assert rig.take(Release) == []
    rig.now += 0.1 * INTERVAL + 0.01
    rig.give(Tick())
    assert [effect.partition for effect in rig.take(Release)] == taken[:1]
    rig.now += PARALLEL_AFTER_SECONDS
    rig.give(Tick())
    assert [effect.partition for effect in rig.take(Release)] == taken[1:]


def test_a_draining_member_whose_first_release_is_stuck_releases_the_rest_at_once_after_a_while() -> None:
    rig = Rig(partitions=8)
    taken = owning(rig, OTHER)
    rig.pass_through(rig.give(DrainStarted()))
    rig.turns(3, OTHER)
    assert [effect.partition for effect in rig.take(Release)] == taken[:1]
    rig.now += PARALLEL_AFTER_SECONDS - 4 * INTERVAL
    rig.hear(OTHER)
    assert rig.take(Release) == []
    rig.now += INTERVAL + 0.01
    rig.hear(OTHER)
    assert [effect.partition for effect in rig.take(Release)] == taken[1:]
