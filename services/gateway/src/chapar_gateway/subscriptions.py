"""All open subscriptions of this process: how many there may be, and how they are found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chapar_chassis.refusals import CallRefused
from chapar_chassis.tokens import AccessToken
from chapar_gateway.subscription import Subscription

STREAMS_MAX = 5
"""Subscriptions a user may have at one gateway."""


class Subscriptions:
    """The registry of open subscriptions."""

    def __init__(self, *, subscriptions_max: int, measure: Callable[[int], None] = lambda count: None) -> None:
        """`measure` is told how many are open, whenever that changes."""
        self._measure = measure
        self._subscriptions_max = subscriptions_max
        self._by_id: dict[str, Subscription] = {}
        self._by_session: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._by_user: Counter[str] = Counter()
        self._drain_window_ms: int | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    @contextmanager
    def registered(self, subscription: Subscription) -> Iterator[None]:
        """Keeps a subscription findable while it runs. Raises `CallRefused` when there are too many, or in a drain."""
        user_id, session_id = subscription.token.user_id, subscription.token.session_id
        if self._drain_window_ms is not None:
            raise CallRefused("REASON_UNAVAILABLE")
        if self._by_user[user_id] >= STREAMS_MAX:
            raise CallRefused("REASON_TOO_MANY_STREAMS", {"streams_max": str(STREAMS_MAX)})
        if len(self._by_id) >= self._subscriptions_max:
            raise CallRefused("REASON_OVERLOADED")
        self._by_id[subscription.subscription_id] = subscription
        self._by_session[session_id].add(subscription)
        self._by_user[user_id] += 1
        self._measure(len(self._by_id))
        try:
            yield
        finally:
            del self._by_id[subscription.subscription_id]
            self._by_session[session_id].discard(subscription)
            if not self._by_session[session_id]:
                del self._by_session[session_id]
            self._by_user[user_id] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]
            self._measure(len(self._by_id))

    def find(self, subscription_id: str, token: AccessToken) -> Subscription:
        """A subscription of the session that asks. Raises `CallRefused`; others' are not told from none."""
        found = self._by_id.get(subscription_id)
        asks = (token.user_id, token.session_id)
        if found is None or (found.token.user_id, found.token.session_id) != asks:
            raise CallRefused("REASON_SUBSCRIPTION_UNKNOWN")
        return found

    def session_revoked(self, session_id: str) -> None:
        """Lets the subscriptions of a session notice that it was revoked."""
        for subscription in self._by_session.get(session_id, ()):
            subscription.look()

    def drain(self, window_ms: int) -> None:
        """Tells all clients to come back elsewhere, and takes no more."""
        self._drain_window_ms = window_ms
        for subscription in self._by_id.values():
            subscription.drain(window_ms)

    def finish(self) -> None:
        """Ends all that are open."""
        for subscription in list(self._by_id.values()):
            subscription.finish()
