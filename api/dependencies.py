"""What routes take: the lake's tables, days, and refusals of parameters nobody knows."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator

from api.grammar import refuse_unknown
from api.tables import Tables


async def _tables(request: Request) -> Tables:
    tables: Tables = request.app.state.tables
    return tables


TablesDep = Annotated[Tables, Depends(_tables)]
# Pydantic would read a bare number as seconds since 1970
Day = Annotated[date, BeforeValidator(date.fromisoformat)]
AsOf = Annotated[Day | None, Query(description="the state as released by that day; for raw, extracted by it")]


async def only_as_of(request: Request) -> None:
    """Refuse any parameter but ``as_of``.

    Raises:
        UnknownName: with the nearest one it takes.
    """
    refuse_unknown(request.query_params, ("as_of",))
