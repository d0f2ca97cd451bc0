"""Random commands of each domain, few names and numbers each, so that they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st

from chapar.identity.journal.v1 import journal_pb2 as identity
from chapar.messaging.journal.v1 import journal_pb2 as messaging
from chapar.messaging.v1 import messaging_pb2
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar.presence.journal.v1 import journal_pb2 as presence
from chapar_identity.domain import IdentityDomain
from chapar_messaging.domain import MessagingDomain
from chapar_payments.domain import PaymentsDomain
from chapar_presence.domain import PresenceDomain
from chapar_sourcing.domain import Domain
from libs.sourcing.tests.owner import accounts, reminders, rig
from services.identity.tests import play as of_identity
from services.identity.tests import test_erasing_rules as of_erasing
from services.messaging.tests import play as of_messaging
from services.payments.tests import books


@dataclass(frozen=True, slots=True)
class Subject:
    """A domain and what can be wanted of it."""

    domain: Domain[Any, Any]
    commands: st.SearchStrategy[Message]


_NAMES = st.sampled_from(["a", "b", "c"])
_DUE = st.integers(rig.NOW_MS - 1_000, rig.NOW_MS + 5_000)
_ACCOUNTS = st.one_of(
    st.builds(accounts.add, _NAMES, events=st.integers(1, 3), note=st.sampled_from(["", "", "pinned"])),
    st.builds(accounts.unpin, _NAMES, st.integers(1, 3)),
    st.builds(accounts.refuse, _NAMES),
    st.builds(accounts.nothing, _NAMES),
)
_REMINDERS = st.one_of(
    _ACCOUNTS,
    st.builds(reminders.remind, _NAMES, _DUE, _DUE),
    st.builds(reminders.remind, _NAMES, _DUE, then=st.sampled_from(["add", "refused"])),
    st.builds(reminders.cancel, _NAMES, _DUE),
)

_NUMBERS = st.integers(1, 2)
_USERS = st.sampled_from([of_identity.ARASH, of_identity.BAHAR])
_USERNAMES = st.sampled_from(["arash_1", "bahar_2"])
_MACS = st.sampled_from([of_identity.RIGHT, of_identity.RIGHT, of_identity.WRONG])
_OFFSETS = st.integers(1, 4)
_BEFORE = st.none() | st.integers(1, 3)
_WISHES = st.integers(1, 3)
_IDENTITY: st.SearchStrategy[identity.Command] = st.one_of(
    st.builds(of_identity.start, _NUMBERS),
    st.builds(of_identity.complete, _MACS, number=_NUMBERS, user_id=_USERS, session_number=_NUMBERS),
    st.builds(of_identity.open_session, _USERS, _NUMBERS, offset=_OFFSETS, previous=_BEFORE),
    st.builds(of_identity.open_session, _USERS, _NUMBERS, offset=st.just(1)),
    st.builds(of_identity.refresh, st.integers(1, 3), number=_NUMBERS, user_id=_USERS),
    st.builds(of_identity.revoke, _NUMBERS, caller_number=_NUMBERS, user_id=_USERS),
    st.builds(of_identity.update_profile, _USERS, caller_number=_NUMBERS),
    st.builds(of_identity.set_username, _USERNAMES, _USERS, caller_number=_NUMBERS),
    st.builds(of_identity.reserve, _USERNAMES, _USERS, _WISHES),
    st.builds(of_identity.confirm, _USERNAMES, _USERS, _WISHES),
    st.builds(of_identity.reject, _USERNAMES, _USERS, _WISHES),
    st.builds(of_identity.release, _USERNAMES, _USERS, _WISHES),
    st.builds(of_erasing.erase, _USERS, caller_number=st.none() | _NUMBERS),
    st.builds(of_erasing.release_phone, _USERS),
)

_PEOPLE = st.sampled_from([of_messaging.ARASH, of_messaging.BAHAR, of_messaging.CYRUS])
_PLACES = st.sampled_from([of_messaging.GROUP, of_messaging.GROUP, of_messaging.DIRECT])
_SEQUENCES = st.integers(0, 6)
_ROLES = st.sampled_from([messaging_pb2.ROLE_MEMBER, messaging_pb2.ROLE_ADMIN, messaging_pb2.ROLE_OWNER])
_MESSAGING: st.SearchStrategy[messaging.Command] = st.one_of(
    st.builds(of_messaging.create_group, others=st.just([of_messaging.BAHAR])),
    st.builds(of_messaging.send, _PEOPLE, _PLACES, reply_to=st.integers(0, 2)),
    st.builds(of_messaging.send, _PEOPLE, _PLACES),
    st.builds(of_messaging.delete, _PEOPLE, _SEQUENCES, _PLACES),
    st.builds(of_messaging.add, _PEOPLE, _PEOPLE),
    st.builds(of_messaging.remove, _PEOPLE, _PEOPLE),
    st.builds(of_messaging.set_role, _PEOPLE, _PEOPLE, _ROLES),
    st.builds(of_messaging.leave, _PEOPLE),
    st.builds(of_messaging.mark_read, _PEOPLE, _SEQUENCES, _PLACES),
    st.builds(of_messaging.post_card, _OFFSETS, _BEFORE),
    st.builds(messaging.Command, erase_content=st.builds(messaging.EraseContent, user_id=_PEOPLE)),
)

_PAYERS = st.sampled_from(["arash", "bahar", "cyrus"])
_RIALS = st.integers(0, 500)
_TRANSFERS = st.uuids().map(str)
_CREDITS = st.builds(books.credit, _PAYERS, st.integers(1, 500), _TRANSFERS)
_PAYMENTS: st.SearchStrategy[payments.Command] = st.one_of(
    st.builds(books.cash_in, _PAYERS, st.integers(1, 1_000), _TRANSFERS),
    st.builds(books.transfer, _PAYERS, _PAYERS, _RIALS, transfer_id=_TRANSFERS, target=st.integers(0, 2)),
    st.builds(lambda first, items: books.credits(first, *items), st.integers(1, 5), st.lists(_CREDITS, min_size=1)),
    st.builds(payments.Command, erase_memos=st.builds(payments.EraseMemos, user_id=_PAYERS)),
)

_CONVERSATIONS = st.sampled_from(["d", "g"])
_SEEN = st.integers(rig.NOW_MS - 100, rig.NOW_MS)
_GONE = st.integers(rig.NOW_MS, rig.NOW_MS + 9_000)
_PRESENCE: st.SearchStrategy[presence.Command] = st.one_of(
    st.builds(presence.Command, come_online=st.builds(presence.ComeOnline, user_id=_PAYERS)),
    st.builds(
        presence.Command,
        depart=st.builds(presence.Depart, user_id=_PAYERS, last_seen_time_ms=_SEEN, offline_time_ms=_GONE),
    ),
    st.builds(
        presence.Command,
        record_membership=st.builds(
            presence.RecordMembership,
            user_id=_PAYERS, conversation_id=_CONVERSATIONS, member=st.booleans(), change_sequence=st.integers(1, 5),
        ),
    ),
)  # fmt: skip
"""The other commands of presence are made by its timers."""

SUBJECTS = {
    "accounts": Subject(accounts.Accounts(), _ACCOUNTS),
    "accounts whose refusals stay": Subject(accounts.Accounts(journals_refusals=True, keeps_answers=True), _ACCOUNTS),
    "reminders": Subject(reminders.Reminders(), _REMINDERS),
    "identity": Subject(IdentityDomain(), _IDENTITY),
    "messaging": Subject(MessagingDomain(), _MESSAGING),
    "payments": Subject(PaymentsDomain(), _PAYMENTS),
    "presence": Subject(PresenceDomain(), _PRESENCE),
}
