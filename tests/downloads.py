"""A downloader whose servers are scripted, and the files it is asked for."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from scripted_http import Answer, scripted_session

from catalog.errors import BadDownload, PortalUnavailable, Refused, ResourceGone
from catalog.settings import Settings
from ingestion.download import Downloader
from ingestion.portal import Resource, read_resource

ROWS = b"code;nom\n01001;L'Abergement\n"
NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


def sha(algorithm: str, content: bytes = ROWS) -> dict[str, str]:
    return {"type": algorithm, "value": hashlib.new(algorithm, content).hexdigest()}


def hosted(**changes: Any) -> Resource:
    body = {"id": "r1", "title": "Communes", "url": "https://static.example/communes.csv", "filetype": "file"}
    return read_resource({**body, "format": "csv", "filesize": len(ROWS), "checksum": sha("sha1"), **changes})


def remote(**changes: Any) -> Resource:
    return hosted(**{"filetype": "remote", "checksum": None, "filesize": None, **changes})


def downloader(
    *answers: Answer | Exception, resolve: Any = None, **settings: Any
) -> tuple[Downloader, list[requests.PreparedRequest]]:
    session, asked = scripted_session(*answers)
    ticks = iter(NOON + timedelta(seconds=number) for number in range(100))
    made = Downloader(
        Settings(**{"portal_url": "https://portal.example", "http_retries": 2, "http_backoff_seconds": 0, **settings}),
        session,
        sleep=lambda _: None,
        now=lambda: next(ticks),
        resolve=resolve or (lambda host: ["198.41.0.4"]),
    )
    return made, asked


def refusal(folder: Path, resource: Resource, *answers: Answer | Exception, **settings: Any) -> tuple[Exception, int]:
    """The error a download ends with and the requests it took; nothing may be left behind."""
    made, asked = downloader(*answers, **settings)
    with pytest.raises((BadDownload, PortalUnavailable, Refused, ResourceGone)) as caught:
        made.fetch(resource, folder)
    assert list(folder.iterdir()) == []
    return caught.value, len(asked)
