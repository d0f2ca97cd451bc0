"""Each alert has a runbook, and what runbooks say to look at and to run is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from chapar_client.cli import app
from tools.watch import alerts, lint
from tools.watch.__main__ import PAGE, ROOT, page
from tools.watch.boards import boards

BOOKS = ROOT / "docs" / "runbooks"
PANELS = {
    f"{board.uid} / {panel.title}" for board in boards() for section in board.sections for panel in section.panels
}
SECTIONS = ["## Look", "## Do", "## Over when"]
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def _books() -> list[Path]:
    return sorted(BOOKS.glob("*.md"))


def _blocks(text: str, language: str) -> Iterator[str]:
    yield from (block for found, block in BLOCK.findall(text) if found == language)


def _problem_of(line: str) -> str:
    """Why a command line is not one of ours; "" when it is. Nothing is run."""
    program, *arguments = shlex.split(line)
    if program != "chapar":
        return "not ours"
    command = get_command(app)
    while isinstance(command, TyperGroup):
        name, *arguments = arguments
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    try:
        command.make_context(command.name, arguments)
    except Exception as error:
        return str(error) or repr(error)
    return ""


def test_there_is_one_for_each_alert_and_no_other() -> None:
    assert {book.stem for book in _books()} == {*alerts.names()}


@pytest.mark.parametrize("book", _books(), ids=lambda book: book.stem)
def test_what_a_runbook_names_is_there(book: Path) -> None:
    text = book.read_text(encoding="utf-8")
    assert text.startswith(f"# {book.stem}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    for line in (line.strip() for block in _blocks(text, "") for line in block.splitlines() if line.strip()):
        assert _problem_of(line) == "", line
    for query in _blocks(text, "promql"):
        assert [*lint.query_problems(query.strip(), in_panel=False)] == []
    flat = re.sub(r"\s+", " ", BLOCK.sub("", text))
    for panel in re.findall(r"`(chapar-\w+ / [^`]+)`", flat):
        assert panel in PANELS
    for other in re.findall(r"\bChapar[A-Z]\w+", flat):
        assert other in {*alerts.names()}


def test_some_runbook_names_each_of_these() -> None:
    """The test above looks at something."""
    texts = [book.read_text(encoding="utf-8") for book in _books()]
    assert sum(len([*_blocks(text, "")]) for text in texts) > 20
    assert sum(len(re.findall(r"`chapar-\w+ / ", text)) for text in texts) > 50


@pytest.mark.parametrize(
    "line",
    ["chapar doctor", "chapar owners show --everything", "chapar owners move seven", "rm -r data", "chapar rebuild"],
)
def test_what_is_no_command_is_noticed(line: str) -> None:
    assert _problem_of(line)


def test_the_page_of_alerts_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
