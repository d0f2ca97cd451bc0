"""Plays seeds: `python -m tests.simulation.run --seeds 500` or, to see one, `--seed 42 --trace`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass

from chapar_sourcing.owner import Owner, OwnerPhase
from tests.simulation.checks import check_applied, check_history, check_state
from tests.simulation.clients import Client
from tests.simulation.faults import Rates
from tests.simulation.node import Node
from tests.simulation.toy import Registers
from tests.simulation.world import Violation, World

NODES = 3
CLIENTS = 4
WISHES = 14


@dataclass(frozen=True, slots=True)
class Played:
    """How a seed went."""

    seed: int
    trace_hash: str
    fired: Counter[str]
    violation: str
    steps: list[str]


def play(seed: int, owner_class: type[Owner] = Owner, node_class: type[Node] = Node) -> Played:
    """Plays one seed to its end and judges it."""
    world = World(seed, Rates())
    domain = Registers(journals_refusals=seed % 2 == 0)
    nodes = [node_class(world, f"n{i}", domain, owner_class) for i in range(NODES)]
    clients = [Client(world, f"c{i}", nodes, WISHES, reactor=i == CLIENTS - 1) for i in range(CLIENTS)]
    try:
        _live(world, nodes, clients)
        world.heal()
        _settle(world, nodes, clients, domain)
    except Violation as violation:
        return Played(seed, world.trace_hash, world.faults.fired, str(violation), world.steps)
    except Exception as broken:
        # Nothing else may be raised: an owner that fails takes its process with it.
        return Played(seed, world.trace_hash, world.faults.fired, f"{type(broken).__name__}: {broken}", world.steps)
    return Played(seed, world.trace_hash, world.faults.fired, "", world.steps)


def _live(world: World, nodes: list[Node], clients: list[Client]) -> None:
    """Clients work while processes crash, sleep and take over from each other."""
    nodes[0].start()

    def disturb() -> None:
        up = [node for node in nodes if node.up]
        down = [node for node in nodes if not node.up]
        awake = [node for node in up if not node.paused]
        if not up:
            world.random.choice(nodes).start()
        elif world.faults.happens("crash"):
            world.random.choice(up).crash()
        elif awake and world.faults.happens("pause"):
            world.random.choice(awake).pause(world.random.choice((100, 1_000, 6_000)))
        elif (down and world.faults.happens("takeover")) or (down and not awake and world.random.random() < 0.01):
            world.random.choice(down).start()
        world.after(20, disturb)

    disturb()
    for client in clients:
        world.soon(0, 500, client.next)
    world.run(lambda: all(client.done for client in clients), limit_ms=120_000)


def _settle(world: World, nodes: list[Node], clients: list[Client], domain: Registers) -> None:
    """Everything heals; one process stays; all wishes end; then the books are compared."""
    for node in nodes:
        if node.up:
            node.crash()
    nodes[0].start()

    def owning() -> list[Node]:
        return [node for node in nodes if node.up and node.owner.phase is OwnerPhase.OWNING]

    def quiet() -> bool:
        idle = all(not node.owner.undurable and node.owner.backlog == 0 for node in owning())
        return all(client.done for client in clients) and len(owning()) == 1 and idle

    if not world.run(quiet, limit_ms=120_000):
        waiting = [put.tag for client in clients for put in client.puts if not put.done]
        raise Violation(f"no rest: {[node.owner.phase.value for node in nodes]}, unanswered {waiting}")
    check_history(world, clients)
    check_state(world, owning()[0], domain)
    check_applied(world, owning()[0])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Play seeds of the simulator.")
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first one; alone with --trace")
    parser.add_argument("--trace", action="store_true", help="print every step of one seed")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    given = parser.parse_args()
    if given.trace:
        played = play(given.seed)
        print("\n".join(played.steps))
        print(f"seed {played.seed}: {played.violation or 'good'}, trace {played.trace_hash}")
        sys.exit(bool(played.violation))
    fired: Counter[str] = Counter()
    for number in range(given.seeds):
        played = play(given.seed + number)
        fired.update(played.fired)
        if played.violation:
            print("\n".join(played.steps[-60:]))
            sys.exit(f"seed {played.seed}: {played.violation}\nreplay: make sim SEED={played.seed}")
        if sys.stderr.isatty():
            print(f"\r{number + 1}/{given.seeds} seeds", end="", file=sys.stderr)
    counts = {"first_seed": given.seed, "seeds": given.seeds, "violations": 0, "faults": dict(sorted(fired.items()))}
    print(
        json.dumps(counts)
        if given.json
        else f"{given.seeds} seeds from {given.seed} on, no violation; faults: {dict(fired)}"
    )


if __name__ == "__main__":
    main()
