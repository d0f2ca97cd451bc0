from __future__ import annotations

import pytest

from chapar_identity.api.forms import canonical_phone, canonical_title, code_digits, is_username

ZWNJ = "\u200c"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@pytest.mark.parametrize("phone", ["+989121234567", "+989000000001", "+4915112345678", "+12025550123"])
def test_canonical_mobile_numbers_of_any_country_pass(phone: str) -> None:
    assert canonical_phone(phone, ()) == phone


@pytest.mark.parametrize(
    "phone",
    [
        "",
        "+",
        "09121234567",
        "00989121234567",
        "989121234567",
        "+98 912 123 4567",
        "+98-912-123-4567",
        "+9809121234567",
        "+۹۸۹۱۲۱۲۳۴۵۶۷",
        "+98912123456",
        "+9891212345678",
        "+989121234567;ext=1",
        "+989121234567\n",
        "+982112345678",
        "+999123456789",
        "+" + "9" * 400,
        "tel:+989121234567",
    ],
)
def test_everything_else_is_no_phone(phone: str) -> None:
    assert canonical_phone(phone, ()) is None


def test_regions_bound_whose_phones_may_sign_in() -> None:
    assert canonical_phone("+989121234567", {"IR"}) == "+989121234567"
    assert canonical_phone("+4915112345678", {"IR"}) is None


@pytest.mark.parametrize("text", ["012345", "۰۱۲۳۴۵", "٠١٢٣٤٥", "0۱2٣45"])
def test_codes_are_read_in_latin_persian_and_arabic_digits(text: str) -> None:
    assert code_digits(text) == "012345"


@pytest.mark.parametrize(
    "text", ["", "12345", "1234567", "12345a", "１２３４５６", "१२३४५६", "12 456", "-12345", "12345²"]
)
def test_everything_else_is_no_code(text: str) -> None:
    assert code_digits(text) is None


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  آرش کمانگیر ", "آرش کمانگیر"),
        (f"مهر{ZWNJ}آیین", f"مهر{ZWNJ}آیین"),
        ("e\u0301mile", "\u00e9mile"),
        (FAMILY * 20, FAMILY * 20),
        ("ا" * 64, "ا" * 64),
        ("۱", "۱"),
        ("👍🏽", "👍🏽"),
    ],
)
def test_names_are_trimmed_and_composed(text: str, canonical: str) -> None:
    assert canonical_title(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        ZWNJ,
        "\u0301",
        "ا" * 65,
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x7fb",
        "a\u2028b",
        "a\u202eb",
        "a\u2067b",
        "a\ue000b",
        "\u200b\u200d",
        "a" + "\u0301" * 600,
    ],
)
def test_names_that_are_empty_long_or_hide_something_are_refused(text: str) -> None:
    assert canonical_title(text) is None


@pytest.mark.parametrize("text", ["arash", "a1234", "a____", "a" * 32])
def test_usernames_in_their_one_form(text: str) -> None:
    assert is_username(text)


@pytest.mark.parametrize(
    "text", ["", "aras", "a" * 33, "Arash", "1arash", "_arash", "ara sh", "arash\n", "آرش_۱", "ar\u0430sh", "@arash"]
)
def test_everything_else_is_no_username(text: str) -> None:
    assert not is_username(text)
