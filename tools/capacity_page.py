"""Writes `docs/capacity.md`: what 40 million accounts would take, as `chapar capacity --page` prints it."""

from __future__ import annotations

from pathlib import Path

from chapar_client.capacity import Given, Load, page, plan, units

TARGET = Path(__file__).resolve().parent.parent / "docs" / "capacity.md"


def main() -> None:
    """Writes the page."""
    TARGET.write_text(page(plan(Load(), Given(), units())), encoding="utf-8")


if __name__ == "__main__":
    main()
