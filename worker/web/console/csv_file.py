"""A table as a CSV file, written as it is sent: UTF-8 with its mark, amounts exact, no text that a spreadsheet runs.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line's end is a formula to a spreadsheet. Texts (names
and titles that anybody may have typed) get an apostrophe before it; amounts and dates are ours and stay as they are.
Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from aiohttp import web

_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")
_ROWS_AT_ONCE = 500


async def send(
    request: web.Request, name: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
) -> web.StreamResponse:
    """Send rows as a file to keep. ``columns``: column of the row → its head. ``name`` is ours, without an ending."""
    answer = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
        }
    )
    await answer.prepare(request)
    for text in written(columns, rows):
        await answer.write(text.encode())
    await answer.write_eof()
    return answer


def written(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yield the file a few hundred rows at a time; it begins with the mark that tells Excel it is UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    buffer.write("\ufeff")
    writer.writerow(list(columns.values()))
    for number, row in enumerate(rows, start=1):
        writer.writerow(cells(row, list(columns)))
        if number % _ROWS_AT_ONCE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return a row's cells as text."""
    return [cell(row[name]) for name in names]


def cell(value: object) -> str:
    """Write one value: amounts with all their decimals and a point, dates as YYYY-MM-DD, texts made harmless."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date | int):
        return str(value)
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.startswith(_BEGINS) else text
