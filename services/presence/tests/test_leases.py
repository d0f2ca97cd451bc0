"""Leases by a clock that the test moves: first and last lease, several gateways, flapping, restarts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chapar_presence.leases import Change, Leases

LEASE = 6_000


class Board:
    """Leases with a clock, and the journal that announcements go to."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.now_ms = 1_000_000
        self.start_ms = self.now_ms

    def renew(self, *user_ids: str, gateway: str = "g1") -> None:
        self.leases.renew(gateway, LEASE, user_ids, self.now_ms)

    def end(self, *user_ids: str, gateway: str = "g1") -> None:
        self.leases.end(gateway, user_ids, self.now_ms)

    def announced(self, after_ms: int = 0) -> list[tuple[str, bool, int]]:
        """Moves the clock and takes what is to be announced: (user, online, last seen since the start)."""
        self.now_ms += after_ms
        changes = self.leases.changes(self.now_ms)
        for change in changes:
            self.leases.confirm(change, self.now_ms)
        return [(c.user_id, c.present, c.last_seen_ms and c.last_seen_ms - self.start_ms) for c in changes]


def test_first_lease_is_announced_once() -> None:
    board = Board()
    board.renew("sara", "omid")
    assert board.announced() == [("sara", True, 0), ("omid", True, 0)]
    board.renew("sara")
    assert board.announced(LEASE - 1) == []


def test_user_departs_when_the_last_lease_ends() -> None:
    board = Board()
    board.renew("sara")
    board.announced()
    board.now_ms += 500
    board.end("sara")
    assert board.announced() == [("sara", False, 500)]
    assert board.announced(10 * LEASE) == []
    assert len(board.leases) == 0


def test_lease_that_is_not_renewed_runs_out() -> None:
    board = Board()
    board.renew("sara")
    board.announced()
    assert board.announced(LEASE - 1) == []
    assert board.announced(1) == [("sara", False, LEASE)]


def test_an_end_and_a_renewal_between_two_looks_announce_nothing() -> None:
    board = Board()
    board.renew("sara")
    board.announced()
    for _ in range(5):
        board.end("sara")
        board.renew("sara", gateway="g2")
        board.end("sara", gateway="g2")
        board.renew("sara")
        assert board.announced(LEASE // 2) == []


def test_user_is_online_while_any_gateway_holds_a_lease() -> None:
    board = Board()
    board.renew("sara", gateway="g1")
    board.renew("sara", gateway="g2")
    assert board.announced() == [("sara", True, 0)]
    board.end("sara", gateway="g1")
    for _ in range(10):
        assert board.announced(LEASE // 2) == []
        board.renew("sara", gateway="g2")
    board.end("sara", gateway="g2")
    assert board.announced() == [("sara", False, 10 * (LEASE // 2))]


def test_an_end_by_a_gateway_that_holds_nothing_changes_nothing() -> None:
    board = Board()
    board.renew("sara", gateway="g1")
    board.announced()
    board.end("sara", "omid", gateway="g2")
    assert board.announced(LEASE - 1) == []
    assert len(board.leases) == 1


def test_change_that_was_not_journaled_is_told_again_until_it_is_or_is_untrue() -> None:
    leases = Leases()
    leases.renew("g1", LEASE, ["sara"], 0)
    assert leases.changes(0) == leases.changes(1) == [Change("sara", True, 0)]
    leases.end("g1", ["sara"], 2)
    assert leases.changes(2) == []
    assert len(leases) == 0


def test_user_who_left_while_the_announcement_was_under_way_goes_offline_after_it() -> None:
    leases = Leases()
    leases.renew("g1", LEASE, ["sara"], 0)
    (change,) = leases.changes(0)
    leases.end("g1", ["sara"], 5)
    leases.changes(5)
    leases.confirm(change, 6)
    assert leases.changes(6) == [Change("sara", False, 6)]


def test_renewal_while_going_offline_is_announced_after_it() -> None:
    leases = Leases()
    leases.renew("g1", LEASE, ["sara"], 0)
    leases.confirm(leases.changes(0)[0], 0)
    leases.end("g1", ["sara"], 5)
    (gone,) = leases.changes(5)
    leases.renew("g1", LEASE, ["sara"], 6)
    leases.confirm(gone, 7)
    assert leases.changes(7) == [Change("sara", True, 0)]


def test_changes_are_bounded_and_none_is_forgotten() -> None:
    leases = Leases()
    leases.renew("g1", LEASE, [f"u{n}" for n in range(10)], 0)
    seen = []
    while changes := leases.changes(0, limit=3):
        assert len(changes) <= 3
        for change in changes:
            leases.confirm(change, 0)
        seen += [change.user_id for change in changes]
    assert seen == [f"u{n}" for n in range(10)]


def test_after_a_restart_the_online_get_one_lease() -> None:
    board = Board()
    board.leases.recover(["sara", "omid"], LEASE, board.now_ms)
    assert board.announced(LEASE - 1) == []
    board.renew("sara")
    assert board.announced(1) == [("omid", False, 0)]
    assert board.announced(LEASE - 2) == []


def test_recovered_user_who_ends_in_order_departs_then() -> None:
    board = Board()
    board.leases.recover(["sara"], LEASE, board.now_ms)
    board.renew("sara")
    board.now_ms += 100
    board.end("sara")
    assert board.announced() == [("sara", False, 100)]


GATEWAYS = st.sampled_from(["g1", "g2"])
USERS = st.sampled_from(["sara", "omid"])
STEPS = st.one_of(
    st.tuples(st.just("renew"), GATEWAYS, USERS),
    st.tuples(st.just("end"), GATEWAYS, USERS),
    st.tuples(st.just("wait"), st.integers(1, 2 * LEASE), st.none()),
)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_leases_agree_with_brute_force(steps: list[tuple[str, str | int, str | None]]) -> None:
    """A user is present iff a lease holds now; changes alternate."""
    board = Board()
    spans: dict[tuple[str, str], list[list[int]]] = {}
    online: dict[str, bool] = {}
    for kind, subject, user in steps:
        if kind == "wait":
            board.now_ms += int(subject)
        elif kind == "renew":
            held = spans.setdefault((str(subject), str(user)), [])
            if held and held[-1][1] > board.now_ms:
                held[-1][1] = board.now_ms + LEASE
            else:
                held.append([board.now_ms, board.now_ms + LEASE])
            board.renew(str(user), gateway=str(subject))
        else:
            for span in spans.get((str(subject), str(user)), []):
                span[1] = min(span[1], board.now_ms)
            board.end(str(user), gateway=str(subject))
        for name, came, last_seen in board.announced():
            assert online.get(name, False) != came
            online[name] = came
            ends = [s[1] for (_, u), held in spans.items() if u == name for s in held]
            assert came or last_seen == max(ends) - board.start_ms
        for name in ("sara", "omid"):
            held_now = any(s[0] <= board.now_ms < s[1] for (_, u), held in spans.items() if u == name for s in held)
            assert online.get(name, False) == held_now
