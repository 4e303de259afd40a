"""POST /sql: one statement that reads, run in a process that can do nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from api import audit, problems
from api.access import CallerDep, require
from api.dependencies import Day, TablesDep
from api.formats import MEDIA_TYPES, WRITINGS, Format, chosen_format
from api.problems import CLIENT_CLOSED_REQUEST
from api.sql_jobs import Query, make_job
from api.sql_processes import Answer, ClientLeft, SqlProcesses
from catalog.errors import StatementRefused, UsageError
from catalog.scopes import Scope
from catalog.settings import Settings
from catalog.spill import spill_folder
from catalog.sql_check import line_and_column

STATEMENT_LENGTH = 100_000
ROWS_UNLESS_ASKED = 10_000
CHUNK_BYTES = 256 * 1024

router = APIRouter(responses=problems.RESPONSES)


class SqlRequest(BaseModel):
    """A statement and how it is to be answered."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(description="one SELECT over bronze, silver, gold, raw, staging, curated and ops")
    as_of: Day | None = Field(None, description="silver and gold as released by that day")
    format: Format | None = Field(None, description="of the answer; else by Accept, else json")
    max_rows: int | None = Field(None, ge=0, description="most rows wanted; 10,000 unless asked")
    parameters: list[Any] | dict[str, Any] | None = Field(None, description="values of ?, $1 or $name")


class SqlColumn(BaseModel):
    """One column of a result."""

    name: str
    type: str = Field(description="SQL type, as DuckDB names it")


class SqlResult(BaseModel):
    """The rows of a statement."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    row_count: int
    truncated: bool = Field(description="whether there were more rows than may be answered, or than were wanted")


def _processes(request: Request) -> SqlProcesses:
    processes: SqlProcesses = request.app.state.sql_processes
    return processes


ProcessesDep = Annotated[SqlProcesses, Depends(_processes)]
OTHER_FORMATS: dict[str, Any] = {media: {"schema": {"type": "string"}} for media in MEDIA_TYPES if "json" not in media}


@router.post(
    "/sql",
    summary="Run one statement that reads",
    dependencies=[require(Scope.SQL_RUN)],
    response_model=SqlResult,
    responses={200: {"content": OTHER_FORMATS}},
)
async def run_sql(
    request: Request, body: SqlRequest, tables: TablesDep, processes: ProcessesDep, caller: CallerDep
) -> Response:
    """Run a SELECT over the layers, within limits of time, memory, rows and bytes, and answer with its rows."""
    form = body.format or chosen_format(request)
    query = Query(body.sql, form, _rows(body, tables.settings), body.as_of, body.parameters)
    _refuse_unreadable(body.sql)
    audit.note(request, detail=body.sql)
    folder = spill_folder(tables.settings)
    try:
        async with processes.turn():
            job = await to_thread.run_sync(make_job, tables, caller, query, folder)
            answer = await processes.run(job, request)
        return await to_thread.run_sync(_respond, request, body.sql, form, folder, answer)
    except ClientLeft:
        await to_thread.run_sync(_remove, folder)
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        _remove(folder)
        raise


def _rows(body: SqlRequest, settings: Settings) -> int:
    wanted = ROWS_UNLESS_ASKED if body.max_rows is None else body.max_rows
    if wanted > settings.sql_max_rows and body.max_rows is not None:
        raise UsageError(
            f"max_rows={wanted}: an answer has at most {settings.sql_max_rows:,} rows. Whole tables come from"
            " /{layer}/{table}?format=parquet."
        )
    return min(wanted, settings.sql_max_rows)


def _refuse_unreadable(sql: str) -> None:
    if len(sql) > STATEMENT_LENGTH:
        raise UsageError(f"The statement is {len(sql):,} characters long; the most is {STATEMENT_LENGTH:,}.")
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The statement is no text: character {error.start + 1} is half of one.") from error


def _respond(request: Request, sql: str, form: Format, folder: Path, answer: Answer) -> Response:
    """Send the file the statement's process wrote; it has lost its name before, so that nothing is left of it."""
    if "error" in answer:
        raise _refusal(sql, **answer["error"])
    audit.note(request, rows=answer["rows"])
    headers = {
        "X-Row-Count": str(answer["rows"]),
        "X-Truncated": str(answer["truncated"]).lower(),
        "Cache-Control": "no-store",
    }
    media_type = WRITINGS[form].media_type if form in WRITINGS else "application/json"
    file = (folder / "result").open("rb")
    headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
    _remove(folder)
    return StreamingResponse(_chunks(file), headers=headers, media_type=media_type)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _refusal(sql: str, kind: str, message: str, position: int | None = None, nearest: str | None = None) -> Exception:
    if kind == "broken":
        return RuntimeError(f"the process of a statement failed: {message}")
    if kind == "unreadable":
        return OSError(message)  # answered as all that the store does not give
    line, column = line_and_column(sql, position) if position is not None else (None, None)
    place = f" (line {line}, column {column})" if line else ""
    return StatementRefused(kind, f"{message}{place}", line, column, nearest)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
