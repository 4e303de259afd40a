"""The documents hold: links, commands of the Makefile, settings, paths, tables and the imports they promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, code_of, documents

from catalog.alerts.alert import Kind
from catalog.registry import SCHEMA_FILE
from catalog.settings import PREFIX, REPOSITORY, Settings

DOCUMENTS = [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in documents()]
SETTINGS = {PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}
COMPONENTS = ("catalog", "ingestion", "api", "dashboards")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"(?:[\w-]+/)+[\w-]+\.(?:py|yml|md|json|sql|csv)")


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text("utf-8")):
        place, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target.read_text("utf-8")), f"{link}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_code_names_make_targets_settings_and_files_that_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for code in code_of(document.read_text("utf-8")):
        assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)) <= targets, code
        if "Unknown setting" not in code:  # the one block that shows a mistake
            assert set(re.findall(r"\bODH_[A-Z0-9_]+\b", code)) <= set(SETTINGS), code
    for code in re.findall(r"`([^`\n]+)`", document.read_text("utf-8")):
        if FILE.fullmatch(code) and (ROOT / code.split("/")[0]).is_dir():
            assert (ROOT / code).exists(), code


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_that_show_a_claim_name_tests_that_exist(document: Path) -> None:
    for call in re.findall(r"`(?:\.venv/bin/)?pytest ([^`]+)`", document.read_text("utf-8")):
        files, _, words = call.partition(" -k ")
        text = ""
        for pattern in files.split():
            found = sorted(ROOT.glob(pattern))
            assert found, f"pytest {call}: no {pattern}"
            text += "".join(path.read_text("utf-8") for path in found if path.is_file())
        for word in words.strip('"').replace(" or ", " ").split():
            assert re.search(rf"def test_\w*{word}", text), f"pytest {call}: no test is named {word!r}"


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    rows = re.findall(r"^\| `ODH_\w+` \|.*$", page, re.M)
    expected = [f"| `{name}` | {default_of(name)} | {field.description} |" for name, field in SETTINGS.items()]
    missing = "\n".join(sorted(set(expected) - set(rows)))
    gone = "\n".join(sorted(set(rows) - set(expected)))
    assert sorted(rows) == sorted(expected), f"docs/configuration.md needs\n{missing}\nin place of\n{gone}"


def default_of(name: str) -> str:
    """A setting's default as the page writes it."""
    field = SETTINGS[name]
    if field.default_factory:
        return "number of CPUs"
    if field.default is None:
        return "—"
    value = field.default
    if isinstance(value, Path) and value.is_absolute():
        value = value.relative_to(REPOSITORY)
    return f"`{value}`"


def test_env_example_sets_what_exists() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    assert set(re.findall(r"^# ?(ODH_\w+)=", example, re.M)) <= set(SETTINGS)


def test_the_feed_schema_is_up_to_date() -> None:
    written = subprocess.run(
        [sys.executable, "-m", "catalog.registry"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert SCHEMA_FILE.read_text("utf-8") == written.stdout, "catalog/feed.schema.json is old: run `make schema`"


def test_every_gold_model_is_in_the_warehouse_page() -> None:
    page = (ROOT / "docs" / "warehouse.md").read_text("utf-8")
    models = {path.stem for path in (ROOT / "dbt_project" / "models" / "gold").rglob("*.sql")}
    listed = set(re.findall(r"^\| (.*?) \|", page, re.M))
    named = {name for cell in listed for name in re.findall(r"`(\w+)`", cell)}
    assert models - named == set(), "docs/warehouse.md needs a row for each"
    assert {name for name in named if re.match(r"(dim|fct|mart)_\w", name)} - models == set()


def test_every_decision_is_listed_and_whole() -> None:
    folder = ROOT / "docs" / "adr"
    pages = [path for path in sorted(folder.glob("*.md")) if path.name != "README.md"]
    index = (folder / "README.md").read_text("utf-8")
    numbers = [path.name[:4] for path in pages]
    assert len(set(numbers)) == len(numbers), "two decisions have one number"
    for page in pages:
        text = page.read_text("utf-8")
        assert f"]({page.name})" in index
        for heading in ("Context", "Decision", "Alternatives", "Consequences"):
            assert f"\n## {heading}\n" in text, f"{page.name} has no {heading}"


def test_the_catalogues_iceberg_modules_alone_import_pyiceberg() -> None:
    paths = (path for component in COMPONENTS for path in (ROOT / component).rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix() for path in paths if "pyiceberg" in imported(path)}
    assert found == {path.relative_to(ROOT).as_posix() for path in (ROOT / "catalog").glob("iceberg*.py")}


def imported(path: Path) -> set[str]:
    """Top-level packages a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_every_alert_has_its_runbook() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    runbooks = page[page.index("## Runbooks") :]
    assert {kind.anchor for kind in Kind} == anchors(runbooks) - {"runbooks"}
