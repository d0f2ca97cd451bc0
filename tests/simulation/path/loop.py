"""An asyncio event loop without a selector, in virtual time: one a simulated process.

What may live here: handles, timers, futures and tasks in an order that nothing but the world decides. A loop that is
dead never runs anything again; one that is paused keeps what arrives until it goes on. Sets of futures and tasks are
iterated by their hashes: here those are numbers in order of birth, so that a seed has one trace.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from tests.simulation.path.world import World

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEP_SECONDS = (0.000_005, 0.000_060)
"""How long a loop takes until it runs what has become ready."""
BURIAL_ROUNDS_MAX = 5
BURIAL_STEPS_MAX = 50


class NumberedFuture(asyncio.Future[T]):
    """A future whose hash is its number."""

    def __init__(self, *, loop: VirtualLoop) -> None:
        self._number = loop.new_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class NumberedTask(asyncio.Task[T]):
    """A task whose hash is its number."""

    def __init__(
        self, coro: Coroutine[Any, Any, T], *, loop: VirtualLoop, name: str | None, context: contextvars.Context | None
    ) -> None:
        self._number = loop.new_number()
        super().__init__(coro, loop=loop, name=name, context=context)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one process. `rate` is how fast its monotonic clock runs; 1.0 is true."""

    def __init__(self, world: World, name: str, rate: float) -> None:
        # Nothing of the base is used that its own `__init__` would prepare: it would ask for a selector's clock.
        self._world = world
        self._name = name
        self._rate = rate
        self._random = world.stream(f"loop {name}")
        self._ready: deque[asyncio.Handle] = deque()
        self._planned = False
        self._paused = False
        self._buried = False
        self._numbers = 0
        self._tasks: list[NumberedTask[Any]] = []
        self.dead = False
        world.loops.append(self)

    # ---- what the world does

    def kill(self) -> None:
        """Nothing runs here any more; what was under way is kept, so that no clean-up of it runs either."""
        self.dead = True

    def bury(self) -> None:
        """After the run: cancels what is left, so that no clean-up is still to come when memory is given back."""
        self.dead = self._paused = False
        self._buried = self._planned = True  # nothing is left to the world
        for _ in range(BURIAL_ROUNDS_MAX):
            left = [task for task in self._tasks if not task.done()]
            for task in left:
                self._end(task)
            for _ in range(BURIAL_STEPS_MAX):
                if self._ready:
                    self._run_ready()
            if not left:
                break
        self.kill()
        self._ready.clear()
        self._tasks.clear()

    @staticmethod
    def _end(task: NumberedTask[Any]) -> None:
        coroutine = task.get_coro()
        if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            coroutine.close()
        else:
            task.cancel()

    def pause(self) -> None:
        """Stops; what arrives waits."""
        self._paused = True

    def resume(self) -> None:
        """Goes on with everything that has arrived."""
        self._paused = False
        self._plan()

    @property
    def buried(self) -> bool:
        """Whether the run is over."""
        return self._buried

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused

    def _step(self) -> None:
        self._planned = False
        if self.dead or self._paused:
            return
        self._run_ready()
        if self._ready:
            self._plan()

    def _run_ready(self) -> None:
        ready = self._ready
        events._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                if not ready:
                    break
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(None)

    def _plan(self) -> None:
        if not self._planned and self._ready and not self.dead and not self._paused:
            self._planned = True
            self._world.soon(*STEP_SECONDS, self._step, self._random)

    def call_now(self, make: Callable[[], T]) -> T:
        """Runs a function as if within a step: for what wants a running loop when it is made."""
        outer = events._get_running_loop()
        events._set_running_loop(self)
        try:
            return make()
        finally:
            events._set_running_loop(outer)

    # ---- what asyncio asks for

    def new_number(self) -> int:
        """The next number of a future or a task."""
        self._numbers += 1
        return self._numbers

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether this loop runs its callbacks now."""
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        """Only after the run: a dead loop takes calls and does nothing."""
        return self._buried

    def time(self) -> float:
        """The monotonic clock of this process, in seconds."""
        return self._world.now * self._rate

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Runs a callback in the next step."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self._ready.append(handle)
            self._plan()
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Runs a callback after a delay in seconds of this process's clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Runs a callback at a time of this process's clock."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)

        def due() -> None:
            if not timer.cancelled() and not self.dead:
                self._ready.append(timer)
                self._plan()

        if not self.dead:
            self._world.at(when / self._rate, due)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers stay in the world's queue and do nothing."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future with a number."""
        return NumberedFuture(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """A task with a number."""
        assert asyncio.iscoroutine(coro), "only coroutines become tasks"
        task: NumberedTask[T] = NumberedTask(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > 4_000:
            self._tasks = [kept for kept in self._tasks if not kept.done()]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback or a task failed and nobody looked: the world must know, unless this process is dead."""
        if not self.dead and not self._buried:
            self._world.failed(f"{self._name}: {context.get('message')}: {context.get('exception')!r}")
