"""What production refuses, and when the gateway asks for keys."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from api.safe_start import is_weak, refuse_unsafe
from catalog.errors import InvalidSettings
from catalog.registry import Registry, load_registry
from catalog.settings import Settings

STRONG = secrets.token_urlsafe(32)
SAFE: dict[str, Any] = {"environment": "production", "api_secret": STRONG, "personal_data_key": STRONG[:40]}


def settings_of(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


FEED = """
feed: people
title: People
description: People whose names are hashed.
owner: us
license: lov2
domain: people
source: {dataset: people}
tables:
  - name: people
    description: People.
    resources: people
    columns: [name]
    personal_data: {name: hash}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    lake = tmp_path_factory.mktemp("lake")
    (lake / "feeds").mkdir()
    (lake / "feeds" / "people.yml").write_text(FEED)
    return load_registry(settings_of(lake=lake))


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({}, True),
        ({"api_host": "::1"}, True),
        ({"api_host": "0.0.0.0"}, False),
        ({"environment": "production"}, False),
        ({"api_access": "keys"}, False),
        ({"api_access": "open", "api_host": "0.0.0.0"}, True),
    ],
    ids=str,
)
def test_no_key_is_asked_for_in_development_on_loopback_alone(given: dict[str, Any], is_open: bool) -> None:
    assert settings_of(**given).is_open is is_open


def test_production_starts_with_keys_and_secrets_of_its_own(registry: Registry) -> None:
    refuse_unsafe(settings_of(**SAFE), registry)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"api_access": "open"}, "ODH_API_ACCESS=open"),
        ({"api_public": "curated:read ingest:write"}, "gives everyone ingest:write"),
        ({"serve_restricted": True}, "ODH_SERVE_RESTRICTED"),
        ({"api_secret": None}, "ODH_API_SECRET is not set"),
        ({"api_secret": "changeme" * 4}, "ODH_API_SECRET is a default"),
        ({"personal_data_key": None}, "ODH_PERSONAL_DATA_KEY is not set"),
        ({"s3_secret_access_key": "minioadmin"}, "ODH_S3_SECRET_ACCESS_KEY is a default"),
        ({"s3_secret_access_key": ""}, "ODH_S3_SECRET_ACCESS_KEY is a default"),
        ({"ledger_url": "postgresql://odh:secret@db/odh"}, "ODH_LEDGER_URL holds a default password"),
        ({"catalog_url": "postgresql://odh:postgres@db/odh"}, "ODH_CATALOG_URL holds a default password"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_production_refuses_and_says_what_to_set(given: dict[str, Any], told: str, registry: Registry) -> None:
    with pytest.raises(InvalidSettings) as refused:
        refuse_unsafe(settings_of(**{**SAFE, **given}), registry)
    assert told in str(refused.value)
    assert str(refused.value).count("\n") == 1, "one fault, one line"
    refuse_unsafe(settings_of(**{**SAFE, **given, "environment": "development"}), registry)


def test_a_secret_somebody_drew_is_not_weak() -> None:
    assert not any(is_weak(secrets.token_urlsafe(32)) for _ in range(200))
