"""SQL values as JSON has them, the same for the command and the gateway."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any


def json_value(value: Any) -> Any:
    """A SQL value as JSON has it.

    Dates and times are in ISO 8601, decimals exact as text, bytes in hexadecimal; what is no number is null.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, date | time):  # datetimes too
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    return str(value)
