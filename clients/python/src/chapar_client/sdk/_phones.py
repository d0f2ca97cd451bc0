"""Phone numbers as people write them, to E.164."""

from __future__ import annotations

import phonenumbers

from chapar_client.sdk._errors import InvalidInput


def normalised_phone(text: str, *, region: str = "IR") -> str:
    """ "0912 123 4567", with Latin or Persian digits, becomes "+989121234567"; raises `InvalidInput`."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise InvalidInput(f"not a phone number: {text}") from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidInput(f"not a possible phone number: {text}")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
