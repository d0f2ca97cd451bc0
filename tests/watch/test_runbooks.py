"""Each alert has a runbook, and what runbooks say to look at and to run is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from chapar_client.cli import app
from tools.watch import alerts, lint, runbooks
from tools.watch.__main__ import PAGE, page
from tools.watch.boards import boards

PANELS = {
    f"{board.uid} / {panel.title}" for board in boards() for section in board.sections for panel in section.panels
}
SECTIONS = ["## Look", "## Do", "## Over when"]


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
    assert {book.stem for book in runbooks.books()} == {*alerts.names()}


@pytest.mark.parametrize("book", runbooks.books(), ids=lambda book: book.stem)
def test_what_a_runbook_names_is_there(book: Path) -> None:
    text = book.read_text(encoding="utf-8")
    assert text.startswith(f"# {book.stem}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    for line in runbooks.commands(text):
        assert _problem_of(line) == "", line
    for query in runbooks.queries(text):
        assert [*lint.query_problems(query, in_panel=False)] == []
    flat = runbooks.prose(text)
    for panel in re.findall(r"`(chapar-\w+ / [^`]+)`", flat):
        assert panel in PANELS
    for other in re.findall(r"\bChapar[A-Z]\w+", flat):
        assert other in {*alerts.names()}


def test_some_runbook_names_each_of_these() -> None:
    """The test above looks at something."""
    texts = [book.read_text(encoding="utf-8") for book in runbooks.books()]
    assert sum(len([*runbooks.commands(text)]) for text in texts) > 20
    assert sum(len([*runbooks.queries(text)]) for text in texts) >= 2
    assert sum(len(re.findall(r"`chapar-\w+ / ", text)) for text in texts) > 50


@pytest.mark.parametrize(
    "line",
    ["chapar surgeon", "chapar owners show --everything", "chapar owners move seven", "rm -r data", "chapar rebuild"],
)
def test_what_is_no_command_is_noticed(line: str) -> None:
    assert _problem_of(line)


def test_the_page_of_alerts_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
