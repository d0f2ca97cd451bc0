"""What pages name to show that they are right is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gates.test_asvs import ROOT, problem

PAGES = ("docs/evolution.md", "docs/upgrading.md", "docs/security/README.md")
NAMED = re.compile(r"`((?:tests|libs|services|clients)/[\w/.-]+\.py(?:::\w+)?)`")
LINKED = re.compile(r"\]\((?!https?:)([^)#]+)\)")


@pytest.mark.parametrize("page", PAGES)
def test_tests_and_pages_that_are_named_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named, linked = NAMED.findall(text), LINKED.findall(text)
    assert named
    assert linked
    folder = (ROOT / page).parent
    wrong = [why for one in named if (why := problem(one))]
    wrong += [f"{link} is not there" for link in linked if not Path(folder / link).exists()]
    assert wrong == []
