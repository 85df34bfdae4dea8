"""What was sent beside what e-conomic stored: every difference, to the øre (R14, B12)."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from itertools import zip_longest
from uuid import UUID

from schemas.invoice import Adjustment, EconomicBooked, EconomicDraft, InvoiceLine, RequestedInvoice, RequestedLine
from worker.mapping import money, texts
from worker.mapping.invoice import in_order
from worker.mapping.push import expected_totals
from worker.mapping.push_checks import is_text_line

Value = str | int | Decimal | dt.date | None


def compare(
    sent: RequestedInvoice,
    stored: EconomicDraft | EconomicBooked,
    accounts: Mapping[str, int] | None = None,
) -> list[Adjustment]:
    """Return the differences, header first, then per line in order. Empty: e-conomic has what Pike sent.

    ``accounts``: product number → finance account that e-conomic uses (draft lines state none; booked bulk lines
    do). Only fields that Pike stated are compared. Lines are paired by position.
    """
    found = _Differences()
    expected = expected_totals(sent.lines)
    if texts.line(sent.title) is not None:
        found.note(None, "title", texts.line(sent.title), texts.line(stored.notes.heading))
    found.note(None, "issue_date", sent.issue_date, stored.date)
    if sent.due_date is not None:
        found.note(None, "due_date", sent.due_date, stored.due_date)
    found.note(None, "currency", sent.currency, stored.currency)
    found.note(None, "net_amount", expected.net, stored.net_amount)
    if stored.lines is not None:
        found.note(None, "lines", len(sent.lines), len(stored.lines))
        lines = in_order(stored.lines)
        for ours, theirs, net in zip_longest(sent.lines, lines, expected.lines):
            if ours is not None and theirs is not None and net is not None:
                _compare_line(found, ours, theirs, net, accounts or {})
    return found.list


def _compare_line(
    found: "_Differences", ours: RequestedLine, theirs: InvoiceLine, net: Decimal, accounts: Mapping[str, int]
) -> None:
    number = theirs.product_number
    found.note(ours.id, "description", texts.block(ours.description), texts.block(theirs.description))
    found.note(ours.id, "product_number", ours.product_number, number)
    if not is_text_line(ours):
        found.note(ours.id, "quantity", ours.quantity, theirs.quantity or Decimal(0))
        found.note(ours.id, "unit_price", ours.unit_price, theirs.unit_net_price or Decimal(0))
        discount = ours.discount_percent or Decimal(0)
        found.note(ours.id, "discount_percent", discount, theirs.discount_percentage or Decimal(0))
    stored_net = theirs.total_net_amount
    if stored_net is None:
        stored_net = money.line_net(theirs.quantity, theirs.unit_net_price, theirs.discount_percentage)
    found.note(ours.id, "net_amount", net, stored_net)
    if ours.finance_account is not None:
        account = theirs.booked_account or (accounts.get(number) if number is not None else None)
        if account is not None:
            found.note(ours.id, "finance_account", ours.finance_account, account)


class _Differences:
    def __init__(self) -> None:
        self.list: list[Adjustment] = []

    def note(self, line_id: UUID | None, field: str, sent: Value, stored: Value) -> None:
        if sent != stored:
            self.list.append(Adjustment(line_id=line_id, field=field, sent=_plain(sent), stored=_plain(stored)))


def _plain(value: Value) -> str | int | None:
    if isinstance(value, Decimal):
        return format(money.tidy(value), "f")
    return value.isoformat() if isinstance(value, dt.date) else value
