"""The two simulated logs of a service's members, and one member's way to them.

A beat or a word may be lost, late, or land when it was given up; it may land and never be acknowledged. A log that is
away keeps what is under way until it is back. Owners' words are compacted at times.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from chapar_sourcing.members.records import counting
from chapar_sourcing.ports import Announcement, Beat, News, OwnersAway, Placement, Unavailable
from tests.simulation.members.silence import Outage
from tests.simulation.path.line import Line
from tests.simulation.path.members import LOST_SECONDS, SLOW_ACK_SECONDS, SLOW_SECONDS, Directory, PathMembers

USUAL_SECONDS = (0.000_2, 0.01)
BEAT_DEADLINE_SECONDS = 2.0
WORD_DEADLINE_SECONDS = 5.0
BACK_SECONDS = 0.5
"""How long what is under way takes to land once a log is back."""
LATE_SECONDS = (0.5, 6.0)
READ_SECONDS = (0.2, 1.0)
"""How long it takes to notice that a log cannot be read."""
COMPACTED_SECONDS = 15.0
"""How old a word is before it is compacted away."""
WAIT_SECONDS = 1.0
"""How long news are waited for before it is looked again."""

Word: TypeAlias = Announcement | Placement


@dataclass(slots=True)
class MemberLogs:
    """What all members of a service share."""

    beats: list[Beat] = field(default_factory=list)
    words: list[Word | None] = field(default_factory=list)
    """None where one was compacted away."""
    landed: list[float] = field(default_factory=list)
    """When each word did; true time."""
    beats_back: float = 0.0
    """True time until which beats can be neither written nor read."""
    words_back: float = 0.0
    outages: list[Outage] = field(default_factory=list)
    """When beats were away, in order."""
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def grown(self) -> None:
        """Wakes who waits for news."""
        waiting, self.waiting = self.waiting, []
        for wake in waiting:
            wake()

    def heal(self, now: float) -> None:
        """Whatever is away is back."""
        self.beats_back, self.words_back = min(self.beats_back, now), min(self.words_back, now)
        self.outages = [replace(outage, end=min(outage.end, now)) for outage in self.outages]

    def compact(self, now: float) -> None:
        """Of each partition's announcements the last one stays, and of its placements; young words stay, as no broker
        compacts the segment that it writes."""
        kept: set[tuple[type, int]] = set()
        for at in range(bisect(self.landed, now - COMPACTED_SECONDS) - 1, -1, -1):
            word = self.words[at]
            if word is not None:
                key = (type(word), word.partition)
                if key in kept:
                    self.words[at] = None
                kept.add(key)


@dataclass(slots=True)
class Gathering(Directory):
    """The members of all services."""

    logs: dict[str, MemberLogs] = field(default_factory=dict)


@dataclass(slots=True)
class Landed:
    """Whom to tell of what has landed."""

    beat: Callable[[Beat, float], None]
    """With the true time at which it was sent."""
    word: Callable[[Word], None]
    words_away: Callable[[], None]


class LoggedMembers(PathMembers):
    """The Members port of one process."""

    def __init__(self, gathering: Gathering, line: Line, service: str, address: str, landed: Landed) -> None:
        super().__init__(gathering, line, service, address)
        self._gathering = gathering
        self._logs = gathering.logs[service]
        self._landed = landed
        self._beats_read = self._words_read = 0

    # ---- what it says

    async def beat(self, beat: Beat) -> int:
        """Arrives and is acknowledged, or not."""
        happens, sent = self._world.faults.happens, self._world.now
        if happens("beat_lost"):
            await self._line.ask(self._no_answer, least=LOST_SECONDS[0], most=LOST_SECONDS[1])
        slow_ack = happens("beat_ack_slow") or self._slow_from <= sent < self._cut_off_from

        def land() -> None:
            self._logs.beats.append(beat)
            self._gathering.beats[self._address] = self._world.now
            self._landed.beat(beat, sent)

        least, most = SLOW_SECONDS if happens("beat_slow") else USUAL_SECONDS
        if happens("beat_late"):
            least, most = LATE_SECONDS
        return await self._send(
            land, lambda: self._logs.beats_back, least, most, deadline=BEAT_DEADLINE_SECONDS, slow_ack=slow_ack,
            ack_lost=happens("beat_ack_lost"),
        )  # fmt: skip

    async def announce(self, announcement: Announcement) -> None:
        """As a beat."""
        await self._say(announcement)

    async def place(self, placement: Placement) -> None:
        """As a beat."""
        await self._say(placement)

    async def _say(self, word: Word) -> None:
        happens = self._world.faults.happens

        def land() -> None:
            self._logs.words.append(word)
            self._logs.landed.append(self._world.now)
            if isinstance(word, Announcement):
                known = self._gathering.owners.get(self._service, {})
                self._gathering.owners[self._service] = counting([*known.values(), word])
            self._landed.word(word)

        least, most = LATE_SECONDS if happens("word_late") else USUAL_SECONDS
        back = lambda: max(self._logs.beats_back, self._logs.words_back)  # noqa: E731
        await self._send(
            land, back, least, most, deadline=WORD_DEADLINE_SECONDS, slow_ack=False, ack_lost=happens("word_ack_lost")
        )

    async def _send(
        self, land: Callable[[], None], back: Callable[[], float], least: float, most: float, *,
        deadline: float, slow_ack: bool, ack_lost: bool,
    ) -> int:  # fmt: skip
        future, world, by = self._line.loop.create_future(), self._world, self._line.random

        def arrive() -> None:
            away = back() - world.now
            if self._cut_off:
                return
            if away > 0:
                world.soon(away, away + BACK_SECONDS, arrive, by)
                return
            land()
            self._logs.grown()
            if ack_lost:
                lost = Unavailable("no answer")
                world.soon(*LOST_SECONDS, lambda: self._line.answer(future, lost), by)
            elif slow_ack:
                world.soon(*SLOW_ACK_SECONDS, lambda: self._line.answer(future, world.now_ms), by)
            else:
                self._line.answer(future, world.now_ms)

        world.soon(least, most, arrive, by)
        world.after(deadline, lambda: self._line.answer(future, Unavailable("no answer in time")))
        return await future  # type: ignore[no-any-return]

    # ---- what it reads

    async def news(self) -> Sequence[News]:
        """Owners' words are read after the beats, to the end, and are told first; where they cannot be, the beats are
        told all the same."""
        logs = self._logs
        while True:
            beats_end = await self._end(lambda: logs.beats_back, logs.beats)
            words_away = False
            try:
                words_end = await self._end(lambda: max(logs.beats_back, logs.words_back), logs.words)
            except Unavailable:
                words_away, words_end = True, self._words_read
            beats = logs.beats[self._beats_read : beats_end]
            words = [word for word in logs.words[self._words_read : words_end] if word is not None]
            self._beats_read, self._words_read = beats_end, words_end
            if words_away:
                if not beats:
                    raise Unavailable("no news")
                self._landed.words_away()
                return [*words, OwnersAway(), *beats]
            if beats or words:
                return [*words, *beats]
            await self._grown()

    async def _end(self, back: Callable[[], float], log: Sequence[object]) -> int:
        if self._world.faults.happens("news_fails"):
            await self._line.ask(self._no_answer, least=READ_SECONDS[0], most=READ_SECONDS[1])

        def end() -> int:
            return -1 if self._cut_off or self._world.now < back() else len(log)

        found = await self._line.ask(end)
        if found < 0:
            await self._line.ask(self._no_answer, least=READ_SECONDS[0], most=READ_SECONDS[1])
        return found

    async def _grown(self) -> None:
        logs = self._logs
        if len(logs.beats) > self._beats_read or len(logs.words) > self._words_read:
            return
        future = self._line.loop.create_future()
        wake = lambda: self._line.answer(future, None)  # noqa: E731
        logs.waiting.append(wake)
        self._world.after(WAIT_SECONDS, wake)
        await future

    async def owners(self, service: str) -> Mapping[int, Announcement]:
        """Who owns what, as far as is known."""
        return await self._line.ask(lambda: dict(self._gathering.owners.get(service, {})))
