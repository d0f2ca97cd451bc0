"""The one place that knows how people name money: toman of ten rials.

Programs, protos and ledgers hold integer rials; people enter and read toman, always with the label.
"""

from __future__ import annotations

import re

from chapar_client.sdk import InvalidInput

RIALS_A_TOMAN = 10
LABEL = "toman"
TOMAN_MAX = 10**14
"""More than all the money there is: beyond it a number is a slip of the finger."""

_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫", "01234567890123456789.")
_LABELS = re.compile(r"\s*(toman|tomans|تومان|تومن)$", re.IGNORECASE)
_AMOUNT = re.compile(r"(?P<toman>\d{1,3}(?:[,٬،_]\d{3})+|\d+)(?:\.(?P<tenth>\d))?", re.ASCII)


def shown_toman(rials: int) -> str:
    """ "12,500 toman"; a lone rial is a tenth: "0.1 toman"."""
    sign = "-" if rials < 0 else ""
    toman, tenth = divmod(abs(rials), RIALS_A_TOMAN)
    fraction = f".{tenth}" if tenth else ""
    return f"{sign}{toman:,}{fraction} {LABEL}"


def parsed_toman(text: str) -> int:
    """Rials of an amount in toman, with Latin or Persian digits, separators and label; raises `InvalidInput`."""
    plain = _LABELS.sub("", text.strip()).translate(_DIGITS).strip()
    matched = _AMOUNT.fullmatch(plain)
    if matched is None:
        raise InvalidInput(f"not an amount of toman: {text!r} (write it as 12500, 12,500 or ۱۲٬۵۰۰)")
    toman = int(re.sub(r"\D", "", matched["toman"]))
    if toman > TOMAN_MAX:
        raise InvalidInput(f"{text.strip()} is more toman than there are")
    return toman * RIALS_A_TOMAN + int(matched["tenth"] or 0)
