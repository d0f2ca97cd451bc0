"""Statements are shown whole, page by page, or not at all."""

from __future__ import annotations

import pytest

from chapar.payments.v1 import payments_pb2 as public
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_chassis.api import Caller
from chapar_payments.domain.documents import StatementLine, line_key
from chapar_payments.memos import Memos
from chapar_payments.queries import StatementDamaged, list_statement_lines_rpc
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer

from .memory_view import MemoryView

USER = "u"


async def statement(lines: list[int], **request: object) -> public.ListStatementLinesResponse | Refused:
    """What a user sees whose statement has these lines; nothing in them is sealed."""
    caller = Caller(journal.Actor(user=USER), USER, 0, 0, 0, user_id=USER)
    view = MemoryView({line_key(USER, n): StatementLine(1, n, n, f"t{n}", "other", n) for n in lines})
    rpc = list_statement_lines_rpc(Memos(Sealer.__new__(Sealer)))
    return await rpc.answer(public.ListStatementLinesRequest(**request), caller, view)


async def test_a_statement_comes_newest_first_and_page_by_page() -> None:
    first = await statement([1, 2, 3], page_size=2)
    assert isinstance(first, public.ListStatementLinesResponse)
    assert [line.sequence for line in first.lines] == [3, 2]
    rest = await statement([1, 2, 3], page_size=2, page_token=first.next_page_token)
    assert isinstance(rest, public.ListStatementLinesResponse)
    assert ([line.sequence for line in rest.lines], rest.next_page_token) == ([1], "")


async def test_a_hole_in_a_statement_is_an_error_and_never_a_gap() -> None:
    with pytest.raises(StatementDamaged):
        await statement([1, 3])
