"""Whatever happens: nobody claims from whom it has heard, and at rest everybody owns what it should."""

from __future__ import annotations

import random
from collections import Counter
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from chapar_sourcing.members import Hindrance
from chapar_sourcing.members.ranking import assigned

from .world import PARTITIONS, World

Step: TypeAlias = tuple[str, int, float]
REST_SECONDS = 70.0 + PARTITIONS
KINDS = [
    "wait",
    "start",
    "kill",
    "drain",
    "sleep",
    "cut off",
    "broker stands still",
    "hinder",
    "hinder all",
    "place",
    "start older",
    "restart",
]

steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 7),
        st.floats(0.1, 6.0),
    ),
    max_size=14,
)


def play(seed: int, members: int, schedule: list[Step]) -> World:
    """Plays a schedule and lets everything come to rest."""
    world = World(random.Random(seed))
    for _ in range(members):
        world.start()
    for what, number, seconds in schedule:
        whom = world.members[number % len(world.members)] if world.members else world.start()
        match what:
            case "start" if len(world.members) < 5:
                world.start()
            case "start older" if len(world.members) < 5:
                world.start(places=False)
            case "restart":
                whom.kill()
                world.start(address=whom.address, places=whom.places)
            case "place":
                world.place(number % PARTITIONS, whom.address if seconds < 5 else "")
            case "kill":
                whom.kill()
            case "drain":
                whom.drain()
            case "sleep":
                whom.sleep(seconds)
            case "cut off":
                whom.cut_off(seconds)
            case "hinder":
                whom.hinder(Hindrance.TAKING if number % 2 else Hindrance.DECIDING, 4 * seconds)
            case "hinder all":
                for process in world.members:
                    process.hinder(Hindrance.DECIDING, 4 * seconds)
            case "broker stands still":
                for process in world.members:
                    process.cut_off(seconds)
        world.run(seconds / 2)
    world.claims_stopped = 0
    world.run(24)
    if not world.members:
        world.start()
    world.run(REST_SECONDS)
    world.counts["rests as placed"] = world.best() != assigned(PARTITIONS, [p.member for p in world.members])
    return world


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32), members=st.integers(1, 4), schedule=steps)
def test_at_rest_everybody_owns_exactly_what_it_should(seed: int, members: int, schedule: list[Step]) -> None:
    world = play(seed, members, schedule)
    assert {p: world.owner(p) for p in range(PARTITIONS)} == world.best()
    for process in world.members:
        assert process.machine.settled
        assert {p: row.member for p, row in process.machine.owners.items()} == world.best()


def test_the_schedules_make_everything_happen() -> None:
    draw, counts = random.Random(9), Counter[str]()
    for seed in range(60):
        schedule = [(draw.choice(KINDS), draw.randrange(8), draw.uniform(0.1, 6)) for _ in range(10)]
        counts += play(seed, 1 + seed % 4, schedule).counts
    wanted = {
        "asked again while releasing", "beats of the unfit", "claimed", "claimed from the living",
        "claimed in vain", "claimed without an answer", "gave way", "hindered", "let go", "released",
        "released for an operator", "rests as placed", "stood still before a claim",
    }  # fmt: skip
    assert not {what for what in wanted if not counts[what]}, f"these never happened; the rest: {counts}"
