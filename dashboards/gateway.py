"""The gateway as the dashboard sees it: JSON over HTTP, and two ways of not having it.

It owns HTTP. It refuses to know what the answers mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests

Json = dict[str, Any]
CONNECT_SECONDS, READ_SECONDS = 3.0, 60.0
PAGE_SIZE, MOST_ROWS = 200, 2_000


class GatewayAway(Exception):
    """Nobody answers, or the answer is that the service is not able to."""


class GatewayRefused(Exception):
    """An answer that says no; ``status`` and ``detail`` say why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Gateway:
    """One gateway, asked with one key or none."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = not _is_here(url)  # a proxy knows no address of this machine
        self._session.headers["Accept"] = "application/json"
        if key:
            self._session.headers["X-API-Key"] = key

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Json:
        """One answer.

        Raises:
            GatewayAway: nobody answers, or the answer is a fault of the server's.
            GatewayRefused: the answer is no.
        """
        return self._ask("GET", path, params=parameters)

    def rows(self, path: str, parameters: Mapping[str, Any] | None = None, most: int = MOST_ROWS) -> list[Json]:
        """Rows of a table, page after page, up to a number of them; raises as ``get``."""
        found: list[Json] = []
        for page in range(1, most // PAGE_SIZE + 1):
            answer = self.get(path, {**(parameters or {}), "page": page, "page_size": PAGE_SIZE})
            found += answer["data"]
            if answer["links"]["next"] is None:
                break
        return found

    def sql(self, statement: str, most: int) -> Json:
        """The answer to one statement: ``columns``, ``rows``, ``truncated``; raises as ``get``."""
        return self._ask("POST", "/sql", json={"sql": statement, "max_rows": most})

    def _ask(self, verb: str, path: str, **more: Any) -> Json:
        try:
            answer = self._session.request(verb, self.url + path, timeout=(CONNECT_SECONDS, READ_SECONDS), **more)
        except requests.RequestException as error:
            raise GatewayAway(type(error).__name__) from error
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and path != "/health":
            raise GatewayAway(f"{answer.status_code}: {_detail(answer)}")
        if answer.status_code >= HTTPStatus.BAD_REQUEST and path != "/health":
            raise GatewayRefused(answer.status_code, _detail(answer))
        try:
            told: Json = answer.json()
        except requests.JSONDecodeError as error:  # another service is listening there
            raise GatewayAway("not JSON") from error
        return told


def _detail(answer: requests.Response) -> str:
    try:
        told = answer.json()
    except requests.JSONDecodeError:
        return answer.text[:200]
    return str(told.get("detail", "")) if isinstance(told, dict) else ""


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
