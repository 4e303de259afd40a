"""SQL sent to a gateway, for ``odh sql --url``."""

from __future__ import annotations

from typing import Any

import requests

from catalog.errors import AccessDenied, OdhError, StatementRefused, TransientError, UsageError
from catalog.settings import Settings, is_loopback

CONNECT_SECONDS = 10.0
SLACK_SECONDS = 60.0  # beside what a statement may take there: its turn, and the answer on its way


def fetch_from(
    url: str, statement: str, settings: Settings, key: str | None = None, as_of: str | None = None
) -> tuple[list[str], list[list[Any]], bool]:
    """Columns and rows of one statement run by a gateway, and whether there were more.

    Args:
        url: of the gateway, such as https://data.example.fr.

    Raises:
        StatementRefused: with the gateway's own words.
        AccessDenied: it asks for a key, or for one with another scope.
        TransientError: it does not answer, or not now.
        UsageError: the address is no gateway's.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url!r} is no address of a gateway; give one such as http://127.0.0.1:8000.")
    asked = {"sql": statement, "max_rows": settings.sql_max_rows} | ({"as_of": as_of} if as_of else {})
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    patience = (CONNECT_SECONDS, settings.sql_timeout_seconds + SLACK_SECONDS)
    try:
        with requests.Session() as session:
            session.trust_env = not is_loopback(url)  # no proxy stands before this machine
            answer = session.post(f"{url.rstrip('/')}/sql", json=asked, headers=headers, timeout=patience)
    except requests.exceptions.RequestException as error:
        raise TransientError(f"The gateway at {url} does not answer: {type(error).__name__}.") from error
    try:
        told = answer.json()
    except ValueError as error:
        raise UsageError(f"{url} answered {answer.status_code} and no JSON: is it a gateway of odh?") from error
    if answer.status_code != 200:
        raise _refusal(answer.status_code, told, url)
    return [column["name"] for column in told["columns"]], told["rows"], told["truncated"]


def _refusal(status: int, told: Any, url: str) -> OdhError:
    detail = str(told.get("detail") if isinstance(told, dict) else told)
    kind = str(told.get("type", "")) if isinstance(told, dict) else ""
    if ":sql-" in kind:
        return StatementRefused(kind.rpartition("-")[2], detail, told.get("line"), told.get("column"))
    if status in (401, 403):
        return AccessDenied(detail)
    if status in (429, 502, 503, 504):
        return TransientError(detail)
    return UsageError(f"{url} answered {status}: {detail}")
