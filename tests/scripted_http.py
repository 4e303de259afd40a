"""A requests session whose answers are written down beforehand: no socket, no patching."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``announced`` lies about the length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None


class ScriptedAdapter(BaseAdapter):
    """Gives the answers in order, the last one for ever; an exception is raised."""

    def __init__(self, answers: tuple[Answer | Exception, ...]) -> None:
        super().__init__()
        self.answers, self.requests = list(answers), list[requests.PreparedRequest]()

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        length = len(answer.body) if answer.announced is None else answer.announced
        raw = HTTPResponse(
            io.BytesIO(answer.body),
            headers={"Content-Length": str(length), **answer.headers},
            status=answer.status,
            preload_content=False,
            enforce_content_length=True,
        )
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        """Nothing is open."""


def scripted_session(*answers: Answer | Exception) -> tuple[requests.Session, list[requests.PreparedRequest]]:
    """A session that gives these answers, and the list its requests are noted in."""
    session, adapter = requests.Session(), ScriptedAdapter(answers)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session, adapter.requests
