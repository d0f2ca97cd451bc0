"""From an error to one clear line and an exit code.

Exit codes: 0 done; 1 refused by the servers, or not confirmed; 2 wrong usage or input; 3 not signed in; 4 no answer,
nothing was done; 5 the outcome is unknown (`chapar pending` settles it); 6 a check found a mismatch; 7 a bug or damage
on the servers; 130 ended by Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Mapping

from chapar_client.sdk import (
    Broken,
    ChaparError,
    InvalidInput,
    NotSignedIn,
    OutcomeUnknown,
    Refused,
    SignedOut,
    Unavailable,
)
from chapar_client.toman import shown_toman

REFUSED, USAGE, SIGNED_OUT, UNAVAILABLE, UNKNOWN, MISMATCH, BROKEN, INTERRUPTED = 1, 2, 3, 4, 5, 6, 7, 130

_SIGN_IN = "sign in with `chapar login PHONE`"

_LINES: Mapping[str, str] = {
    "REASON_TOKEN_MISSING": f"no session: {_SIGN_IN}",
    "REASON_TOKEN_INVALID": f"the session is not valid here: {_SIGN_IN}",
    "REASON_SESSION_REVOKED": f"this session was ended: {_SIGN_IN}",
    "REASON_SESSION_ENDED": f"this session has ended: {_SIGN_IN}",
    "REASON_REFRESH_TOKEN_INVALID": f"this session has ended: {_SIGN_IN}",
    "REASON_REFRESH_TOKEN_REUSED": f"this session was used in two places and has been ended: {_SIGN_IN}",
    "REASON_REQUEST_ID_REUSED": "this request id was used for something else",
    "REASON_REQUEST_EXPIRED": "the request is too old to be repeated: look whether it was carried out",
    "REASON_OPERATOR_UNKNOWN": "not an operator's token of this installation: check --data",
    "REASON_OPERATOR_ROLE_MISSING": "this operator may not do that",
    "REASON_PHONE_INVALID": "not a mobile number: write it as 09121234567",
    "REASON_RESEND_TOO_SOON": "a code was sent a moment ago: wait, then ask again",
    "REASON_CHALLENGE_UNKNOWN": "this sign-in has ended: start again",
    "REASON_CHALLENGE_EXPIRED": "the code is older than two minutes: start again",
    "REASON_CHALLENGE_EXHAUSTED": "five wrong codes: start again",
    "REASON_CODE_WRONG": "that is not the code",
    "REASON_DEVICE_INVALID": "a device's name has 1 to 64 characters",
    "REASON_NAME_INVALID": "a name has 1 to 64 characters, none of them control characters",
    "REASON_USERNAME_INVALID": "a username has 5 to 32 of a-z, 0-9 and _, and starts with a letter",
    "REASON_USERNAME_TAKEN": "somebody else has this username: choose another",
    "REASON_USERNAME_PENDING": "an earlier change of the username is not decided yet: try again in a moment",
    "REASON_USERNAME_UNKNOWN": "nobody has this username",
    "REASON_USER_UNKNOWN": "no such user",
    "REASON_SESSION_UNKNOWN": "no such session of yours: `chapar sessions` lists them",
    "REASON_CONVERSATION_ID_INVALID": "not a conversation's id: `chapar inbox` lists yours",
    "REASON_CONVERSATION_UNKNOWN": "no such conversation, or you are not in it",
    "REASON_TEXT_EMPTY": "a message needs a text",
    "REASON_TEXT_TOO_LONG": "a message has at most 4,096 characters",
    "REASON_REPLY_TARGET_UNKNOWN": "the message to reply to does not exist: `chapar history` shows the numbers",
    "REASON_MESSAGE_UNKNOWN": "no such message, or you do not see it: `chapar history` shows the numbers",
    "REASON_CARD_NOT_DELETABLE": "what was paid stays shown to both sides",
    "REASON_ROLE_TOO_LOW": "your role in this group does not allow it",
    "REASON_NOT_A_GROUP": "a conversation of two cannot be changed: make a group with `chapar groups create`",
    "REASON_GROUP_EXISTS": "this group exists already",
    "REASON_TEXT_INVALID": "a message has no control characters other than line breaks and tabs",
    "REASON_TOO_MANY_MEMBERS": "a group starts with at most 100 members: add the others later",
    "REASON_SEQUENCE_INVALID": "no message has such a number",
    "REASON_PAGE_INVALID": "this page does not exist: start from the first one",
    "REASON_TITLE_INVALID": "a title has 1 to 128 characters",
    "REASON_GROUP_FULL": "the group is full",
    "REASON_ALREADY_MEMBER": "they are a member already",
    "REASON_NOT_A_MEMBER": "they are not a member",
    "REASON_OWNER_MUST_HAND_OVER": "hand the group over first: `chapar groups role GROUP @somebody owner`",
    "REASON_ROLE_INVALID": "the roles are member, admin and owner",
    "REASON_AMOUNT_INVALID": "an amount is more than nothing and at most 100,000,000,000 toman",
    "REASON_PAYEE_IS_PAYER": "you cannot pay yourself",
    "REASON_MEMO_TOO_LONG": "a memo has at most 128 characters",
    "REASON_MEMO_INVALID": "a memo is one line without control characters",
    "REASON_BALANCE_LIMIT": "the wallet would hold more than it may",
    "REASON_CONFIRMATION_WRONG": "an account is erased only under its own user id",
    "REASON_GROUNDS_INVALID": "a reason has 1 to 64 characters, none of them control characters",
    "REASON_REFERENCE_INVALID": "a reference has 1 to 64 characters",
}


def described(error: ChaparError) -> tuple[int, str, dict[str, object]]:
    """(exit code, line for people, fields for programs)."""
    match error:
        case SignedOut():
            return SIGNED_OUT, _refusal_line(error), _refusal_fields(error)
        case Refused():
            return REFUSED, _refusal_line(error), _refusal_fields(error)
        case NotSignedIn():
            return SIGNED_OUT, f"{error}: {_SIGN_IN}", {"error": "not_signed_in"}
        case InvalidInput():
            return USAGE, str(error), {"error": "invalid_input"}
        case OutcomeUnknown():
            line = (
                f"the outcome is unknown: {error}; `chapar pending --finish`, or the same request id"
                f" ({error.request_id}), settles it without doing it twice"
            )
            return UNKNOWN, line, {"error": "outcome_unknown", "request_id": error.request_id, "reason": error.reason}
        case Unavailable():
            return (
                UNAVAILABLE,
                f"{error}; nothing was done. Is `chapar up` running?",
                {
                    "error": "unavailable",
                    "reason": error.reason,
                },
            )
        case Broken():
            return BROKEN, f"the servers failed ({error}): see their log", {"error": "broken"}
        case _:
            return REFUSED, str(error), {"error": type(error).__name__}


def _refusal_line(refusal: Refused) -> str:
    if refusal.reason == "REASON_FUNDS_INSUFFICIENT" and refusal.detail.get("balance_rials", "").isdigit():
        return f"not enough money: the wallet holds {shown_toman(int(refusal.detail['balance_rials']))}"
    line = _LINES.get(refusal.reason, "refused")
    if refusal.detail.get("tries_left", "").isdigit():
        line += f" ({refusal.detail['tries_left']} tries left)"
    if refusal.detail.get("retry_after_ms", "").isdigit():
        line += f" ({int(refusal.detail['retry_after_ms']) // 1000 + 1} s)"
    return f"{line} [{refusal.reason}]"


def _refusal_fields(refusal: Refused) -> dict[str, object]:
    return {
        "error": "refused",
        "reason": refusal.reason,
        "domain": refusal.domain,
        "status": refusal.status.name,
        "detail": refusal.detail,
    }
