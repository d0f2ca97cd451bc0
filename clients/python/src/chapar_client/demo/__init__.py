"""`chapar demo`: an installation in a temporary folder, a story on it, and a check of every log at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from chapar_client.demo._person import Person
from chapar_client.demo._stage import Stage, eventually
from chapar_client.demo._story import Mismatch, Story
from chapar_client.sdk import ChaparError

__all__ = ["Mismatch", "Person", "Stage", "Story", "eventually", "play"]


class Show(Protocol):
    """Shows one result."""

    def __call__(self, text: str, *, style: str = "", **fields: Any) -> None: ...


async def play(show: Show, note: Callable[[str], None]) -> bool:
    """Plays the story; answers whether all went as it must."""
    with tempfile.TemporaryDirectory(prefix="chapar-demo-") as folder:
        note("Starting the five services in a temporary folder ...")
        stage = Stage(Path(folder))
        try:
            async with stage:
                await Story(stage, lambda text: show(f"  {text}", step=text)).play()
        except (Mismatch, TimeoutError, ChaparError) as error:
            show(f"The story went wrong: {error}", style="bold red", mismatch=str(error))
            for line in stage.lines[-20:]:
                note(f"{line.service}: {line.text}")
            return False
        note("Refolding every log from its beginning ...")
        return _told(await stage.digests(), show)


def _told(digests: dict[str, tuple[bool, Any]], show: Show) -> bool:
    for service, (same, said) in digests.items():
        verdict = "log and store agree" if same else f"MISMATCH: {said}"
        show(f"  {service:<10} {verdict}", style="green" if same else "bold red", service=service, agree=same)
    well = all(same for same, _ in digests.values())
    show("All is well." if well else "A check failed.", style="bold green" if well else "bold red", well=well)
    return well
