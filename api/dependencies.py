"""What routes take: the lake's tables, days, and refusals of parameters nobody knows."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BeforeValidator, TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from api.grammar import refuse_unknown
from api.tables import Tables


async def _tables(request: Request) -> Tables:
    tables: Tables = request.app.state.tables
    return tables


TablesDep = Annotated[Tables, Depends(_tables)]
# Pydantic would read a bare number as seconds since 1970
Day = Annotated[date, BeforeValidator(date.fromisoformat)]
Asked = TypeVar("Asked")
AsOf = Annotated[Day | None, Query(description="the state as released by that day; for raw, extracted by it")]


async def only_as_of(request: Request) -> None:
    """Refuse any parameter but ``as_of``.

    Raises:
        UnknownName: with the nearest one it takes.
    """
    refuse_unknown(request.query_params, ("as_of",))


class RawRoute(APIRoute):
    """A documented route whose function is called with the request, and nothing is done before.

    What it declares besides, dependencies included, is documentation: the function does their work, in less time.
    """

    def get_route_handler(self) -> Any:
        """The function itself."""
        return self.endpoint


def read_query(adapter: TypeAdapter[Asked], given: QueryParams) -> Asked:
    """Read the query parameters that a dataclass has fields for, as FastAPI would; others are left to others.

    Raises:
        RequestValidationError: a value that its field cannot hold.
    """
    try:
        return adapter.validate_python(dict(given))
    except ValidationError as error:
        faults = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error
