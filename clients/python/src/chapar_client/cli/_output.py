"""How commands speak: lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text


class Output:
    """Writes results to stdout and errors to stderr. Text for people is never taken as markup."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._console = Console(markup=False, highlight=False, soft_wrap=True, emoji=False)
        self._errors = Console(markup=False, highlight=False, soft_wrap=True, emoji=False, stderr=True)

    def show(self, text: str, *, style: str = "", **fields: Any) -> None:
        """One result: the text for people, or the fields for programs."""
        if self.as_json:
            self.emit(fields)
        else:
            self._console.print(Text(text, style=style))

    def emit(self, fields: Mapping[str, Any]) -> None:
        """One result for programs."""
        print(json.dumps(fields, ensure_ascii=False), flush=True)

    def note(self, text: str, *, style: str = "dim") -> None:
        """Something for people only."""
        if not self.as_json:
            self._console.print(Text(text, style=style))

    def fail(self, text: str, **fields: Any) -> None:
        """An error, in one line."""
        if self.as_json:
            print(json.dumps(fields | {"message": text}, ensure_ascii=False), file=sys.stderr, flush=True)
        else:
            self._errors.print(Text(f"chapar: {text}", style="red"))


def clock(time_ms: int) -> str:
    """Local time of day, with the day when it was not today."""
    moment = datetime.fromtimestamp(time_ms / 1000).astimezone()
    form = "%H:%M" if moment.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M"
    return moment.strftime(form)
