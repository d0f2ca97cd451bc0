"""Those who watch a room or an inbox live: they resume by cursor, drop frames of lower epochs, and miss nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.partitions import partition_of_id
from tests.simulation.path.views import ROOM, lines_of
from tests.simulation.playing import Violation

if TYPE_CHECKING:
    from tests.simulation.path.process import Process
    from tests.simulation.path.stage import Stage

AGAIN = (0.02, 0.3)
AWAY = (0.5, 4.0)
"""How long somebody stays away who comes back later: others watch meanwhile, and frames pass."""
PATIENCE = (1.0, 3.0)


class Watcher:
    """One who watches one key; `number` tells those who watch the same one apart."""

    def __init__(self, stage: Stage, key: str, number: int) -> None:
        self._stage = stage
        self.key = key
        self._random = stage.world.stream(f"watcher {number} of {key}")
        self.state: dict[bytes, bytes] = {}
        """What it believes: field -> value."""
        self._cursor: peer.WatchCursor | None = None
        self._epoch = 0
        self._stream = 0
        """Number of the current stream; frames of others are not for us."""
        self._brought: dict[bytes, bytes] = {}
        """What the inbox had been brought when it attached."""
        self._told = 0
        """The room's head that somebody knew when it attached."""
        self._usual: Process | None = None
        """Whom it asked last."""
        self._hang_up: Callable[[], object] = lambda: None
        self._fellows = stage.watchers.setdefault(key, [])
        """All who watch this key, through one gateway."""
        self._fellows.append(self)

    def begin(self) -> None:
        """Attaches to somebody, where the cursor stands."""
        world = self._stage.world
        self._stream += 1
        stream = self._stream
        target = self._usual = self._stage.somebody(self._stage.chat, self._random, self._usual)
        if target is None:
            world.soon(*AGAIN, self.begin, self._random)
            return
        partition = partition_of_id(self.key, self._stage.chat.partitions)
        request = peer.WatchRequest(partition=partition, key=self.key, user_id="u")
        if self._cursor is not None:
            request.cursor.CopyFrom(self._cursor)
        self._brought = dict(self._stage.chat_ledger.brought[self.key])
        self._told = self._stage.chat_ledger.head(self.key, self._stage.told.get(self.key, 0))
        fresh = True
        arrival = world.now

        def show(frame: peer.WatchResponse | str) -> None:
            nonlocal arrival
            arrival = max(arrival, world.now + 0.000_1 + 0.002 * self._random.random())
            world.at(arrival, lambda: take(frame))

        def take(frame: peer.WatchResponse | str) -> None:
            nonlocal fresh
            if stream != self._stream:
                return
            if isinstance(frame, str):
                self._usual = None
                self.again()
                return
            first, fresh = fresh, False
            self._take(frame, resumed=first and request.HasField("cursor"))

        def check() -> None:
            # A process that has died says nothing: whoever watches it notices that the connection is gone.
            if stream == self._stream:
                if target.loop.dead or target.ended:
                    self.again()
                elif world.faults.happens("watcher_leaves"):
                    self._leave()
                else:
                    world.soon(*PATIENCE, check, self._random)

        world.soon(*PATIENCE, check, self._random)
        self._hang_up = target.stream(request, show)

    def _leave(self) -> None:
        """Goes and comes back; alone, or with all others because their gateway is lost."""
        together = self._stage.world.faults.happens("gateway_lost")
        for one in self._fellows if together else [self]:
            one.again()

    def watches(self, process: Process) -> bool:
        """Whether it is shown something by this process, as far as it knows."""
        return self._usual is process

    def again(self) -> None:
        """Goes and comes back."""
        self._stream += 1
        if not self._stage.world.faults.happens("hang_up_lost"):
            self._hang_up()
        away = AWAY if self._stage.world.faults.happens("watcher_stays_away") else AGAIN
        self._stage.world.soon(*away, self.begin, self._random)

    def _take(self, frame: peer.WatchResponse, *, resumed: bool) -> None:
        kind = frame.WhichOneof("kind")
        if kind == "detach":
            self.again()
            return
        if frame.cursor.epoch < self._epoch:
            self.again()  # the view of an owner that is one no more
            return
        if kind != "reset" and not self._follows(frame):
            raise Violation(f"a watcher of {self.key} stands at {self._cursor} and is shown {frame}")
        self._epoch = frame.cursor.epoch
        self._cursor = peer.WatchCursor(epoch=frame.cursor.epoch, n=frame.cursor.n)
        fired = self._stage.world.faults.fired
        fired["watch_reset"] += kind == "reset"
        fired["watch_resumed"] += resumed and kind == "hint"
        if kind == "gap":
            fired["watch_gap"] += 1
            self._cursor = None
            self.again()
            return
        text = frame.reset if kind == "reset" else frame.hint
        self._stage.world.note(f"a watcher of {self.key} at {frame.cursor.epoch}.{frame.cursor.n} {kind} {text!r}")
        if self.key.startswith(ROOM):
            self._head(text, reset=kind == "reset")
        else:
            self._merge(text, reset=kind == "reset")
        if self._stage.world.faults.happens("watcher_leaves"):
            self._leave()

    def _follows(self, frame: peer.WatchResponse) -> bool:
        """Hints are numbered densely within an epoch; a gap says that some are missing."""
        if self._cursor is None or frame.cursor.epoch != self._cursor.epoch:
            return False
        ahead = frame.cursor.n - self._cursor.n
        return ahead == 1 or (ahead > 1 and frame.WhichOneof("kind") == "gap")

    def _head(self, text: bytes, *, reset: bool) -> None:
        last = int(self.state.get(b"head", b"0"))
        head = int(text)
        if head > len(self._stage.chat_ledger.said[self.key]):
            raise Violation(f"a watcher of {self.key} is shown {head}, which is not in the log")
        if reset and head < max(last, self._told):
            raise Violation(f"a watcher of {self.key} saw {last}, others {self._told}, and is reset to {head}")
        if not reset and head > last + 1:
            raise Violation(f"a watcher of {self.key} saw {last} and is shown {head}")
        self.state[b"head"] = b"%d" % max(head, last)

    def _merge(self, text: bytes, *, reset: bool) -> None:
        lines = lines_of(text)
        if reset:
            for known in (self.state, self._brought):
                if any(lines.get(name, b"") < value for name, value in known.items()):
                    raise Violation(f"a watcher of {self.key} is reset to {lines}, behind {known}")
            self.state = lines
        for name, value in lines.items():
            self.state[name] = max(value, self.state.get(name, b""))
