"""What holds for all commands and events of identity, whatever they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from chapar.identity.events.v1 import events_pb2 as public
from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.identity.v1 import identity_pb2
from chapar_chassis.settings import SettingsInvalid
from chapar_identity.domain import DOCUMENTS, EVOLVE, RULES, IdentityDomain
from chapar_identity.domain.sessions import decide as sessions
from chapar_identity.domain.sign_in import decide as sign_in
from chapar_identity.domain.usernames import decide as usernames
from chapar_identity.domain.users import decide as users
from chapar_identity.publishing import public_event
from chapar_identity.settings import IdentitySettings
from chapar_sourcing.domain import Key, When

EVENT_KINDS = [field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["kind"].fields]
TOUCHED = {
    "username_declined": 0,
    "username_found_taken": 0,
    "user_erased": 3,
    "phone_released": 2,
    "attempts_forgotten": 2,
}
"""How many documents an event changes, where it is not one."""
ENVIRON = {"CHAPAR_DATA_DIR": "/data", "CHAPAR_SECRETS_DIR": "/secrets"}


def event_of(kind: str) -> pb.Event:
    event = pb.Event()
    getattr(event, kind).SetInParent()
    return event


def test_every_command_has_rules() -> None:
    assert set(RULES) == {field.name for field in pb.Command.DESCRIPTOR.oneofs_by_name["kind"].fields}


def test_a_command_without_a_kind_is_a_bug() -> None:
    with pytest.raises(ValueError, match="what is wanted"):
        IdentityDomain().needs(pb.Command())


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_event_touches_documents_that_evolve(kind: str) -> None:
    touched = IdentityDomain().touches(event_of(kind))
    assert len(touched) == TOUCHED.get(kind, 1)
    assert all(key.kind in EVOLVE for key in touched)


def test_every_kind_of_document_has_a_type_and_evolves() -> None:
    assert set(DOCUMENTS) == set(EVOLVE)


@pytest.mark.parametrize("module", [sign_in, sessions, users, usernames])
def test_every_reason_of_the_rules_is_in_the_proto(module: object) -> None:
    reasons = [value for value in vars(module).values() if isinstance(value, str) and value.startswith("REASON_")]
    own = [reason for reason in reasons if reason != "REASON_CREATION_HOLE"]
    assert own
    assert set(own) <= set(identity_pb2.Reason.keys())


@pytest.mark.parametrize("kind", ["code_rejected", "profile_updated", "session_ended", "tokens_refreshed"])
def test_an_event_on_a_document_that_is_not_there_is_a_bug(kind: str) -> None:
    event = event_of(kind)
    (key,) = IdentityDomain().touches(event)
    with pytest.raises(TypeError):
        IdentityDomain().evolve(key, None, event, When(0))


def test_an_event_leaves_documents_of_other_kinds_of_events_alone() -> None:
    assert IdentityDomain().evolve(Key("user", "a"), None, event_of("code_rejected"), When(0)) is None


def test_every_ended_session_is_published_as_a_revocation() -> None:
    ended = pb.Event(session_ended=pb.SessionEnded(user_id="u", session_id="s", end=pb.SESSION_END_TOKEN_REUSED))
    revoked = public.Event(session_revoked=public.SessionRevoked(user_id="u", session_id="s"))
    assert public_event(ended, When(0)) == [("identity.events.v1", revoked), ("revocations.v1", revoked)]


def test_a_new_user_is_published_and_nothing_else_of_identity_is() -> None:
    registered = pb.Event(user_registered=pb.UserRegistered(user_id="u"))
    told = public.Event(user_registered=public.UserRegistered(user_id="u"))
    assert public_event(registered, When(0)) == [("identity.events.v1", told)]
    published = {kind for kind in EVENT_KINDS if public_event(event_of(kind), When(0))}
    assert published == {"user_registered", "user_erased", "session_ended"}


def test_settings_report_all_problems_at_once() -> None:
    wrong = {"CHAPAR_CODE_DELIVERY": "pigeon", "CHAPAR_CODE_WEBHOOK_URL": "ftp://x", "CHAPAR_PHONE_REGIONS": "XX"}
    with pytest.raises(SettingsInvalid) as raised:
        IdentitySettings.from_environ(ENVIRON | wrong)
    assert len(raised.value.problems) == 3


def test_a_webhook_needs_an_address() -> None:
    with pytest.raises(SettingsInvalid, match="CHAPAR_CODE_WEBHOOK_URL must be set"):
        IdentitySettings.from_environ(ENVIRON | {"CHAPAR_CODE_DELIVERY": "webhook"})


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"CHAPAR_LISTEN": "0.0.0.0:7400"}, "CHAPAR_CODE_DELIVERY must be webhook"),
        (
            {"CHAPAR_CODE_DELIVERY": "webhook", "CHAPAR_CODE_WEBHOOK_URL": "http://codes.example/send"},
            "CHAPAR_CODE_WEBHOOK_URL must be https",
        ),
    ],
)
def test_codes_are_neither_logged_nor_sent_in_the_clear_beyond_this_machine(
    told: Mapping[str, str], problem: str
) -> None:
    def problems(**more: str) -> Sequence[str]:
        try:
            IdentitySettings.from_environ({**ENVIRON, **told, **more})
        except SettingsInvalid as invalid:
            return invalid.problems
        return []

    assert any(problem in one for one in problems())
    assert not any(problem in one for one in problems(CHAPAR_DEVELOPMENT="1"))


def test_settings_of_an_installation() -> None:
    settings = IdentitySettings.from_environ(
        ENVIRON
        | {
            "CHAPAR_CODE_DELIVERY": "webhook",
            "CHAPAR_CODE_WEBHOOK_URL": "https://codes.example/send",
            "CHAPAR_PHONE_REGIONS": "IR, DE",
        }
    )
    assert settings.phone_regions == {"IR", "DE"}
    assert settings.code_webhook_url == "https://codes.example/send"
