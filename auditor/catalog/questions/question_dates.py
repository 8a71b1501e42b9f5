"""Dates as people say them: 2025-03, March, last month, two weeks ago. All days are those of UTC, as the Hub's are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

_WRITTEN = re.compile(r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$", re.ASCII)
_NAMED = re.compile(r"^(?:this |last )?([a-z]{3})[a-z]*(?: (\d{1,2})(?:st|nd|rd|th)?,? (20\d\d))?$", re.ASCII)
_PAST = re.compile(r"^(?:last |past |previous )?(?:([\w ]+?) )?(hour|day|week|month|year)s?(?: ago)?$", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def period_of(said: str, today: date, numbers: Mapping[str, int]) -> str | None:
    """The year, month or day that is meant, as 2025, 2025-03 or 2025-03-31; None when it is none.

    Args:
        said: In small letters.
        today: What spans are counted from: the last month begins a month ago. A month without its year is the latest
            that has begun.
        numbers: Numbers in words.
    """
    if _WRITTEN.match(said):
        return said if len(said) < len("2025-03-31") or int(said[8:]) <= _days(int(said[:4]), int(said[5:7])) else None
    if said in ("today", "yesterday", "this day"):
        return str(today - timedelta(days=said == "yesterday"))
    if said == "this week":
        return str(today - timedelta(days=today.weekday()))
    if said in ("this month", "this year"):
        return str(today)[: 7 if said == "this month" else 4]
    named, past = _NAMED.match(said), _PAST.match(said)
    if named and named.group(1) in _MONTHS:
        month = _MONTHS.index(named.group(1)) + 1
        if named.group(2):
            return period_of(f"{named.group(3)}-{month:02}-{int(named.group(2)):02}", today, numbers)
        return f"{today.year - (month > today.month)}-{month:02}"
    if not past:
        return None
    count = past.group(1) or "1"
    many = int(count) if re.fullmatch(r"\d{1,3}", count, re.ASCII) else numbers.get(count)
    return None if many is None else _before(today, many, past.group(2))


def following(period: str) -> str:
    """The year, month or day after one: 2025 → 2026, 2025-12 → 2026-01, 2025-12-31 → 2026-01-01."""
    year, month, day = (int(part or 0) for part in f"{period}--".split("-")[:3])
    if not month:
        return str(year + 1)
    if day and day < _days(year, month):
        return f"{year}-{month:02}-{day + 1:02}"
    after = f"{year + 1}-01" if month == 12 else f"{year}-{month + 1:02}"
    return f"{after}-01" if day else after


def _before(today: date, many: int, unit: str) -> str:
    """The day so many hours, days, weeks, months or years before one."""
    days = {"hour": -(-many // 24), "day": many, "week": 7 * many}
    if unit in days:
        return str(today - timedelta(days=days[unit]))
    months = today.year * 12 + today.month - 1 - many * (12 if unit == "year" else 1)
    year, month = months // 12, months % 12 + 1
    return f"{year:04}-{month:02}-{min(today.day, _days(year, month)):02}"


def _days(year: int, month: int) -> int:
    """Days of a month."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
