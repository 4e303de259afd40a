"""docs/api.md names every address, operator and parameter the gateway takes, and no limit that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.app import create_app
from api.grammar import MAX_CONDITIONS, MAX_VALUES, OPERATORS, RESERVED
from api.paging import PAGE_SIZE, PAGE_SIZE_MAX
from catalog.settings import REPOSITORY, Settings

DOCS = (REPOSITORY / "docs" / "api.md").read_text("utf-8")


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_docs_explain_every_operator(operator: str) -> None:
    assert f"`{operator}`" in DOCS
    assert f"`{operator}`" in create_app(Settings(_env_file=None)).description.replace("\n", " ")  # type: ignore[call-arg]


def test_the_docs_name_every_address_parameter_and_limit(tmp_path: Path) -> None:
    paths = create_app(Settings(lake=tmp_path, _env_file=None)).openapi()["paths"]  # type: ignore[call-arg]
    told = {path: [f"`{verb.upper()} {path}`" in DOCS for verb in verbs] for path, verbs in paths.items()}
    assert [path for path, verbs in told.items() if path != "/{layer}" and not any(verbs)] == []
    assert [name for name in RESERVED if f"`{name}" not in DOCS] == []
    assert f"1 to {PAGE_SIZE_MAX} | {PAGE_SIZE} |" in DOCS
    assert f"more than {MAX_CONDITIONS} filters and sorts or {MAX_VALUES:,} values" in DOCS
