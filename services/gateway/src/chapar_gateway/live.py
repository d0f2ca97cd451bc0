"""What the gateway answers by itself: configuration, and live delivery by subscriptions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from google.protobuf.message import Message

from chapar.gateway.v1 import gateway_pb2 as api
from chapar_chassis.refusals import KEY_INVALID, TOKEN_MISSING, CallRefused
from chapar_chassis.routing import MethodRoute, RoutingInvalid, is_key
from chapar_chassis.tokens import AccessToken
from chapar_gateway.interests import INTERESTS_MAX
from chapar_gateway.leases import Leases
from chapar_gateway.subscription import Subscription, Surroundings, Write
from chapar_gateway.subscriptions import STREAMS_MAX, Subscriptions
from chapar_sourcing.clock import Clock

MESSAGE_BYTES_MAX = 256 * 1024
CLIENT_VERSION_MIN = "0.1.0"
LIMITS = api.Limits(
    text_characters_max=4_096,
    message_bytes_max=MESSAGE_BYTES_MAX,
    group_members_max=500,
    transfer_rials_max=1_000_000_000_000,
    streams_max=STREAMS_MAX,
    presence_interests_max=INTERESTS_MAX,
)
"""What clients are told. Texts, groups and transfers are bounded by their own services; here they are only named."""

_Answer = Callable[[Any, AccessToken], Message]


class Live:
    """The methods of GatewayService."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        leases: Leases,
        around: Surroundings,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """`new_id` gives subscription ids that cannot be guessed."""
        self._subscriptions = subscriptions
        self._leases = leases
        self._around = around
        self._clock = clock
        self._new_id = new_id
        self._answers: Mapping[str, _Answer] = {
            "Ack": self._acknowledge,
            "SetPresenceInterests": self._set_presence_interests,
        }

    def check(self, routes: Collection[MethodRoute]) -> None:
        """Raises `RoutingInvalid` when the table has a local method that is not here."""
        known = {"GetConfig", "Subscribe", *self._answers}
        missing = [route.full_method for route in routes if route.local and route.name not in known]
        if missing:
            raise RoutingInvalid("nobody answers " + ", ".join(missing))

    async def answer(self, route: MethodRoute, request: Message, token: AccessToken | None) -> Message:
        """A unary method's response."""
        if route.name == "GetConfig":
            return self._config()
        return self._answers[route.name](request, _needed(token))

    async def stream(
        self, route: MethodRoute, request: Message, token: AccessToken | None, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Serves one subscription until it is over."""
        if not isinstance(request, api.SubscribeRequest):
            raise TypeError(f"{route.full_method} is not a stream of the gateway")
        await self._subscribe(request, _needed(token), write)

    def _config(self) -> api.GetConfigResponse:
        return api.GetConfigResponse(
            server_time_ms=self._clock.now_ms(), client_version_min=CLIENT_VERSION_MIN, limits=LIMITS
        )

    async def _subscribe(self, request: api.SubscribeRequest, token: AccessToken, write: Write) -> None:
        _check_interests(request.presence_interests)
        subscription = Subscription(self._new_id(), token, self._around)
        with self._subscriptions.registered(subscription), self._leases.held(token.user_id):
            await subscription.run(request, write)

    def _acknowledge(self, request: api.AckRequest, token: AccessToken) -> api.AckResponse:
        self._subscriptions.find(request.subscription_id, token).acknowledge(request.frame)
        return api.AckResponse()

    def _set_presence_interests(
        self, request: api.SetPresenceInterestsRequest, token: AccessToken
    ) -> api.SetPresenceInterestsResponse:
        _check_interests(request.presence_interests)
        found = self._subscriptions.find(request.subscription_id, token)
        found.set_interests(request.presence_interests)
        return api.SetPresenceInterestsResponse()


def _needed(token: AccessToken | None) -> AccessToken:
    if token is None:
        raise CallRefused(TOKEN_MISSING)
    return token


def _check_interests(interests: Collection[api.PresenceInterest]) -> None:
    if len(interests) > INTERESTS_MAX:
        raise CallRefused("REASON_TOO_MANY_INTERESTS", {"presence_interests_max": str(INTERESTS_MAX)})
    if not all(is_key(interest.user_id) and is_key(interest.conversation_id) for interest in interests):
        raise CallRefused(KEY_INVALID)
