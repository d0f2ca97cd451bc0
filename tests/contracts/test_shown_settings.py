"""Settings whose values a doctor's bundle shows have no room for secrets."""

from __future__ import annotations

import dataclasses

import pytest

from chapar_chassis.doctor_command import SHOWN
from chapar_chassis.settings import CommonSettings, _variables
from chapar_gateway.settings import GatewaySettings
from chapar_identity.settings import IdentitySettings
from chapar_presence.settings import PresenceSettings

KINDS = (CommonSettings, GatewaySettings, IdentitySettings, PresenceSettings)
VARIABLES = {name: variable for kind in KINDS for name, variable in _variables(kind).items()}


def test_what_is_shown_is_a_setting() -> None:
    assert {field.name for kind in KINDS for field in dataclasses.fields(kind)} >= SHOWN


@pytest.mark.parametrize("name", sorted(SHOWN))
@pytest.mark.parametrize("text", ["planted", "+989120000000", "mongodb://u:p@h/", "v1.aaaa.bbbb"])
def test_no_shown_setting_takes_a_text(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        VARIABLES[name].parse(text)
