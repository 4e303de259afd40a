"""What the cells of a sheet become as text: numbers, dates, times and durations, without the format they were shown in.

A number is its shortest decimal, without ``.0`` or an exponent; a date is ISO 8601. A serial number shown as a date
that no calendar has (below zero, the 29 February 1900) stays a number.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

DATE, DURATION = "date", "duration"
_INTEGER = re.compile(r"-?\d+")
_NOT_PATTERN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!(?:h+|m+|s+)\])[^\]]*\]', re.I | re.S)
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.I)
_BUILT_IN = {**dict.fromkeys([*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)], DATE), 46: DURATION}
_DAY_MS = 86_400_000
_LAST_SERIAL = 2_958_466  # the day after 31 December 9999


@lru_cache(maxsize=4096)
def kind_of_format(number: int, code: str | None) -> str | None:
    """Whether a number format shows dates (or times of day), or durations; ``None`` for any other."""
    if code is None:
        return _BUILT_IN.get(number)
    pattern = _NOT_PATTERN.sub("", code.split(";")[0])
    if _ELAPSED.search(pattern):
        return DURATION
    return DATE if "general" not in pattern.lower() and re.search("[dmyhs]", pattern, re.I) else None


def number_text(written: str) -> str:
    """A number as its shortest decimal; what is no number stays as written.

    >>> [number_text(one) for one in ("8.0", "0.10000000000000001", "1E+16", "1e-7", "007")]
    ['8', '0.1', '10000000000000000', '0.0000001', '007']
    """
    if _INTEGER.fullmatch(written):
        return written
    try:
        value = float(written)
    except ValueError:
        return written
    return float_text(value)


def float_text(value: float) -> str:
    """A float as its shortest decimal."""
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def serial_text(written: str, kind: str, *, from_1904: bool) -> str:
    """The text of a serial number shown as a date, a time of day or a duration.

    >>> [serial_text(one, DATE, from_1904=False) for one in ("43395", "43395.75", "0.5", "60", "-1")]
    ['2018-10-22', '2018-10-22T18:00:00', '12:00:00', '60', '-1']
    >>> serial_text("1.5", DURATION, from_1904=False)
    '36:00:00'
    """
    try:
        serial = float(written)
        milliseconds = round(serial * _DAY_MS)
    except (ValueError, OverflowError):
        return written
    if kind == DURATION:
        return elapsed_text(timedelta(milliseconds=milliseconds)) if abs(serial) < _LAST_SERIAL else float_text(serial)
    days, rest = divmod(milliseconds, _DAY_MS)
    if 0 < milliseconds < _DAY_MS:
        return elapsed_text(timedelta(milliseconds=rest))
    days += 1462 if from_1904 else 0
    if not 1 <= days < _LAST_SERIAL or days == 60 or serial < 0:
        return number_text(written)
    day = date(1899, 12, 30 if days > 60 else 31) + timedelta(days=days)
    return day.isoformat() + (f"T{elapsed_text(timedelta(milliseconds=rest))}" if rest else "")


def elapsed_text(elapsed: timedelta) -> str:
    """A duration in hours, minutes and seconds, however many hours."""
    sign, elapsed = ("-", -elapsed) if elapsed < timedelta() else ("", elapsed)
    seconds, fraction = divmod(elapsed // timedelta(milliseconds=1), 1000)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds % 60:02d}" + (f".{fraction:03d}" if fraction else "")


def moment_text(moment: datetime) -> str:
    """A moment in ISO 8601; midnight is a date."""
    clock = moment.time()
    return moment.date().isoformat() + (f"T{_clock_text(clock)}" if clock != time() else "")


def _clock_text(clock: time) -> str:
    return clock.isoformat(timespec="milliseconds" if clock.microsecond else "seconds")


def value_text(value: object) -> str:
    """The text of a cell that another reader has already turned into a value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return _clock_text(value)
    return elapsed_text(value) if isinstance(value, timedelta) else str(value)
