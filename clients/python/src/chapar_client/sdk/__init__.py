"""Chapar for Python programs: sign-in, messages, money and a live inbox over one asyncio client.

Commands carry a request id that is stored before the first try and repeated with the same bytes until the deadline, so
that a lost answer never means a second message or a second payment. The inbox never shows a message twice or out of
order, and leaves no gap, whatever connections and servers do.
"""

from chapar.gateway.v1.gateway_pb2 import PresenceInterest
from chapar_client.sdk._client import Client
from chapar_client.sdk._conversations import direct_conversation_id, new_group_id, other_member
from chapar_client.sdk._errors import (
    Broken,
    ChaparError,
    InvalidInput,
    NotSignedIn,
    OutcomeUnknown,
    ProfileUnusable,
    Refused,
    SignedOut,
    Unavailable,
)
from chapar_client.sdk._inbox import Inbox
from chapar_client.sdk._operator import OperatorClient
from chapar_client.sdk._phones import normalised_phone
from chapar_client.sdk._request_ids import Clock, new_request_id
from chapar_client.sdk._state import Pending, Session, StateStore
from chapar_client.sdk._updates import (
    Connected,
    Disconnected,
    InboxReset,
    InboxUpdate,
    MembershipChanged,
    MessageDeleted,
    MessageReceived,
    PresenceChanged,
    PresenceEnded,
    ReadCursorMoved,
)

__all__ = [
    "Broken",
    "ChaparError",
    "Client",
    "Clock",
    "Connected",
    "Disconnected",
    "Inbox",
    "InboxReset",
    "InboxUpdate",
    "InvalidInput",
    "MembershipChanged",
    "MessageDeleted",
    "MessageReceived",
    "NotSignedIn",
    "OperatorClient",
    "OutcomeUnknown",
    "Pending",
    "PresenceChanged",
    "PresenceEnded",
    "PresenceInterest",
    "ProfileUnusable",
    "ReadCursorMoved",
    "Refused",
    "Session",
    "SignedOut",
    "StateStore",
    "Unavailable",
    "direct_conversation_id",
    "new_group_id",
    "new_request_id",
    "normalised_phone",
    "other_member",
]
