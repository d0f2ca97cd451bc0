"""The lane of owners: plays a seed."""

from __future__ import annotations

from collections.abc import Container

from chapar_sourcing.owner import Owner, OwnerPhase
from tests.simulation.checks import check_applied, check_history, check_state
from tests.simulation.clients import Client
from tests.simulation.faults import Rates
from tests.simulation.node import Node
from tests.simulation.playing import Played, Violation
from tests.simulation.toy import Registers
from tests.simulation.world import World

NODES = 3
CLIENTS = 4
WISHES = 14


def play(
    seed: int,
    suppressed: Container[int] = frozenset(),
    *,
    owner_class: type[Owner] = Owner,
    node_class: type[Node] = Node,
) -> Played:
    """Plays one seed to its end and judges it."""
    world = World(seed, Rates(), suppressed)
    domain = Registers(journals_refusals=seed % 2 == 0)
    nodes = [node_class(world, f"n{i}", domain, owner_class) for i in range(NODES)]
    clients = [Client(world, f"c{i}", nodes, WISHES, reactor=i == CLIENTS - 1) for i in range(CLIENTS)]
    try:
        _live(world, nodes, clients)
        world.heal()
        _settle(world, nodes, clients, domain)
    except Violation as broken:
        violation = str(broken)
    except Exception as broken:
        # Nothing else may be raised: an owner that fails takes its process with it.
        violation = f"{type(broken).__name__}: {broken}"
    else:
        violation = ""
    faults = world.faults
    return Played(seed, world.trace_hash, faults.fired, violation, world.steps, faults.numbered)


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
        world.soon(0, 500, client.next, client.random)
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
