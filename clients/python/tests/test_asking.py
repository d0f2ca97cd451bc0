"""What services answer to a command is told from what they log meanwhile."""

from __future__ import annotations

from chapar_client.up._asking import rows


def test_what_a_command_logs_is_no_row() -> None:
    said = (
        '{"topic": "messaging.journal", "change": "created"}\n'
        '{"service": "messaging", "event": "library", "level": "warning"}\n'
        "a line of no form\n"
        '{"topic": "messaging.events.v1", "change": "created"}\n'
    )
    assert [row["topic"] for row in rows(said)] == ["messaging.journal", "messaging.events.v1"]
