"""The one canonical form of everything that people type, and None for what has none."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

import phonenumbers
import regex

PHONE_CHARACTERS_MAX = 16
CODE_DIGITS = 6
TITLE_CHARACTERS_MAX = 64
TITLE_BYTES_MAX = 1_024
"""A character as people count them may be many code points; this bounds what is stored."""

_MOBILE = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)
_LATIN_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
_USERNAME = regex.compile(r"[a-z][a-z0-9_]{4,31}")
_CHARACTER = regex.compile(r"\X")
_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the text around a name; names in right-to-left scripts need none."""


def canonical_phone(text: str, regions: Collection[str]) -> str | None:
    """A mobile number that is E.164 with a plus already, of one of the regions ("IR"); no regions means any."""
    if len(text) > PHONE_CHARACTERS_MAX or not text.startswith("+") or not (text.isascii() and text[1:].isdigit()):
        return None
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number) or not phonenumbers.is_valid_number(number):
        return None
    if phonenumbers.number_type(number) not in _MOBILE:
        return None
    if regions and phonenumbers.region_code_for_number(number) not in regions:
        return None
    return text if phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == text else None


def code_digits(text: str) -> str | None:
    """Six Latin digits, from Latin, Persian or Arabic ones."""
    if len(text) != CODE_DIGITS:
        return None
    digits = text.translate(_LATIN_DIGITS)
    return digits if digits.isascii() and digits.isdigit() else None


def canonical_title(text: str) -> str | None:
    """A name of a person or a device: NFC, trimmed, 1 to 64 characters as people count them, no control characters,
    something visible in it."""
    if len(text.encode()) > TITLE_BYTES_MAX:
        return None
    trimmed = unicodedata.normalize("NFC", text).strip()
    if not trimmed or any(_is_control(character) for character in trimmed):
        return None
    if not any(_is_visible(character) for character in trimmed):
        return None
    return trimmed if len(_CHARACTER.findall(trimmed)) <= TITLE_CHARACTERS_MAX else None


def is_username(text: str) -> bool:
    """Whether this is a username in its canonical form."""
    return _USERNAME.fullmatch(text) is not None


def _is_control(character: str) -> bool:
    return character in _DIRECTION_CONTROLS or unicodedata.category(character) in _CONTROL_CATEGORIES


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS"
