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
from chapar_client.verifier import verify_folder

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
        agree = _told(await stage.digests(), show)
        return _verified(stage.data_dir, show) and agree


def _verified(data_dir: Path, show: Show) -> bool:
    findings = [finding for report in verify_folder(data_dir) for finding in report.findings]
    for finding in findings:
        show(f"  {finding.service} partition {finding.partition}: {finding.problem}", style="bold red")
    well = not findings
    show(
        "Chains and ledger verified from the files alone: all is well." if well else "The log is not sound.",
        style="bold green" if well else "bold red",
        well=well,
    )
    return well


def _told(digests: dict[str, tuple[bool, Any]], show: Show) -> bool:
    for service, (same, said) in digests.items():
        verdict = "log and store agree" if same else f"MISMATCH: {said}"
        show(f"  {service:<10} {verdict}", style="green" if same else "bold red", service=service, agree=same)
    return all(same for same, _ in digests.values())
