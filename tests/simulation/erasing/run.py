"""The lane of erasing: plays a seed."""

from __future__ import annotations

import gc
from collections.abc import Container
from functools import partial

from chapar_sourcing.keyring import CACHE_SECONDS_MAX
from tests.simulation.erasing.process import Process
from tests.simulation.erasing.stage import PARTITIONS, SUBJECTS, Decided, World, partition_of
from tests.simulation.playing import Played, Violation

PROCESSES = 3
LIVE_SECONDS = 90.0
MOMENT = 0.25
PAUSE_SECONDS_MAX = 15.0
REST_SECONDS_MAX = 120.0


def play(seed: int, suppressed: Container[int] = frozenset()) -> Played:
    """Plays one seed to its end and judges it."""
    world = World(seed, suppressed)
    violation = ""
    collecting = gc.isenabled()
    gc.disable()
    try:
        _Run(world).play()
    except Violation as found:
        violation = str(found)
    except Exception as broken:
        violation = f"{type(broken).__name__}: {broken}"
    finally:
        for loop in world.loops:
            loop.bury()
        if collecting:
            gc.enable()
    return Played(seed, world.trace_hash, world.faults.fired, violation, world.steps, world.faults.numbered)


class _Run:
    """Processes on a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._births = 0
        self._contents = 0
        self._living = True
        self._processes = [self._born() for _ in range(PROCESSES)]

    def play(self) -> None:
        """All of it."""
        world = self._world
        self._own_all()
        self._disturb()
        self._let_pass(LIVE_SECONDS)
        self._living = False
        world.heal()
        for process in self._processes:
            process.loop.resume()
        if not world.run(lambda: all(map(world.carried_out, world.entries)), limit=REST_SECONDS_MAX):
            left = [subject for subject in world.entries if not world.carried_out(subject)]
            raise Violation(f"never erased: {left}")
        self._let_pass(CACHE_SECONDS_MAX * 1.1)
        self._judge()

    def _let_pass(self, seconds: float) -> None:
        passed: list[bool] = []
        self._world.after(seconds, lambda: passed.append(True))
        self._world.run(lambda: bool(passed), limit=seconds)

    def _born(self) -> Process:
        self._births += 1
        return Process(self._world, f"p{self._births}")

    def _own_all(self) -> None:
        for partition in range(PARTITIONS):
            if not any(process.owns(partition) for process in self._processes):
                self._random.choice(self._processes).own(partition)

    # ---- what happens

    def _disturb(self) -> None:
        if not self._living:
            return
        faults, draw = self._world.faults, self._random
        if faults.happens("restore"):
            self._restore()
        elif faults.happens("crash"):
            self._crash(draw.randrange(PROCESSES))
        elif faults.happens("pause"):
            self._pause(draw.choice(self._processes))
        elif draw.random() < 0.04:
            self._world.back_up()
        elif draw.random() < 0.06:
            subject = draw.choice(SUBJECTS)
            owner = next(process for process in self._processes if process.owns(partition_of(subject)))
            if not owner.loop.paused:
                owner.erase(subject)
        else:
            self._write()
        self._world.after(MOMENT, self._disturb)

    def _write(self) -> None:
        self._contents += 1
        process = self._random.choice(self._processes)
        content = f"content {self._contents}".encode()
        process.begin(partial(process.write, self._random.choice(SUBJECTS), content))

    def _crash(self, place: int) -> None:
        self._processes[place].kill()
        self._processes[place] = self._born()
        self._own_all()

    def _pause(self, process: Process) -> None:
        process.loop.pause()
        self._world.after(self._random.uniform(0.5, PAUSE_SECONDS_MAX), process.loop.resume)

    def _restore(self) -> None:
        for place in range(PROCESSES):
            self._processes[place].kill()
        self._world.restore()
        self._world.note("an old copy of the keys is put back")
        self._processes = [self._born() for _ in range(PROCESSES)]
        self._own_all()

    # ---- what must hold

    def _judge(self) -> None:
        """Every process that lived through it, and one that is new, reads all there is."""
        readers = [*self._processes, self._born()]
        left = len(readers)

        async def read_all(reader: Process) -> None:
            nonlocal left
            for decided in self._world.decided:
                self._compare(reader, decided, await reader.opened(decided))
            left -= 1

        for reader in readers:
            reader.begin(partial(read_all, reader))
        if not self._world.run(lambda: left == 0, limit=REST_SECONDS_MAX * 10):
            raise Violation("reading never ends")

    def _compare(self, reader: Process, decided: Decided, opened: bytes | None) -> None:
        world, entry = self._world, self._world.entries.get(decided.subject)
        if opened is not None and opened != decided.content:
            raise Violation(f"{reader.name} reads another content of {decided.subject}")
        if entry is not None and (world.has_ended(decided.subject) or decided.at <= entry.at):
            if opened is not None:
                raise Violation(f"{reader.name} reads an erased content of {decided.subject}")
        elif opened is None and decided.sealed.key_id not in world.lost and self._must_be_there(decided):
            raise Violation(f"{reader.name} cannot read a content of {decided.subject} that was never erased")

    def _must_be_there(self, decided: Decided) -> bool:
        entry = self._world.entries.get(decided.subject)
        return entry is None or (entry.done_at is not None and decided.at > entry.done_at)
