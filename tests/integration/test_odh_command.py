"""The command: its help, its exit codes, and that misuse is told in a sentence and never by a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main
from conftest import lake_settings
from lakes import Answer, environment, odh
from typer.testing import CliRunner

import odh as command
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.settings import Settings

ROOT = typer.main.get_command(command.app)
FEED = """\
feed: mine
title: Mine
description: A feed.
owner: me
license: lov2
domain: mine
source: {dataset: mine}
tables:
  - name: lines
    description: One line.
    resources: .
"""


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, one in getattr(group, "commands", {}).items():
        yield from commands(one, (*path, name))


ALL = list(commands(ROOT))


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "odh")
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(command.app, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    found = ROOT
    for name in path:
        found = found.commands[name]  # type: ignore[attr-defined]
    assert found.help
    assert found.help.splitlines()[0] in shown.output


def test_the_commands_of_the_road_are_there() -> None:
    assert {("run",), ("sync",), ("build",), ("sql",), ("stats",), ("serve",), ("sample-portal",)} <= set(ALL)
    assert {("feeds", "list"), ("feeds", "show"), ("feeds", "validate")} <= set(ALL)


def refused(answer: Answer, code: int, *said: str) -> None:
    """One sentence on standard error, no traceback, nothing on standard output."""
    assert answer.code == code, answer.err
    assert answer.err.startswith("error: ")
    for words in said:
        assert words in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


MISTAKES = {
    "unknown field": (FEED + "colour: red\n", 12, "colour"),
    "wrong type": (FEED.replace("title: Mine", "title: [1]"), 2, "title"),
    "missing field": (FEED.replace("owner: me\n", ""), 1, "owner"),
    "in a table": (FEED.replace("resources: .", "resources: '['"), 11, "not a regular expression"),
    "not YAML": (FEED.replace("source: {dataset: mine}", "source: {dataset: mine"), 8, "not valid YAML"),
    "no mapping": ("just words\n", 1, "dictionary"),
    "empty": ("", 1, "dictionary"),
    "not text": ("\x00\x01", 1, "not valid YAML"),
}


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_feed_file_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    monkeypatch.setenv("ODH_LAKE", str(tmp_path / "lake"))
    refused(inside(monkeypatch, "feeds", "validate", str(path)), 2, f"mine.yml:{line}: ", said)


def test_every_mistake_of_every_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yml").write_text(FEED.replace("owner: me\n", "").replace("title: Mine", "title: [1]"))
    answer = inside(monkeypatch, "feeds", "validate", str(tmp_path / "one.yml"), str(tmp_path / "two.yml"))
    refused(answer, 2, "one.yml:2: title", "one.yml:1: owner", "two.yml:2: title", "two.yml:1: owner")


@pytest.mark.parametrize("name", ["nowhere.yml", "."], ids=["no file", "a folder"])
def test_a_feed_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(inside(monkeypatch, "feeds", "validate", str(tmp_path / name)), 2, str(tmp_path / name))


def test_a_feed_file_that_is_no_utf8_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yml"
    path.write_bytes(FEED.replace("Mine", "Été").encode("latin-1"))
    refused(inside(monkeypatch, "feeds", "validate", str(path)), 2, "mine.yml", "UTF-8")


def test_a_good_feed_file_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(FEED)
    answer = odh(lake_settings(tmp_path / "lake"), "feeds", "validate", str(path))
    assert "1 feed files are valid" in answer.out


SETTINGS = {
    "unknown": ("ODH_LAEK", "x", "Did you mean ODH_LAKE?"),
    "not a number": ("ODH_HTTP_RETRIES", "many", "ODH_HTTP_RETRIES='many'"),
    "out of bounds": ("ODH_THREADS", "0", "ODH_THREADS='0'"),
    "no database": ("ODH_LEDGER_URL", "nonsense", "ODH_LEDGER_URL"),
    "no such database": ("ODH_CATALOG_URL", "oracel://x/y", "ODH_CATALOG_URL"),
    "no memory": ("ODH_MEMORY_LIMIT", "much", "ODH_MEMORY_LIMIT"),
}


@pytest.mark.parametrize(("name", "value", "said"), SETTINGS.values(), ids=SETTINGS)
def test_a_wrong_setting_is_told(
    tmp_path: Path, name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODH_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv(name, value)
    refused(inside(monkeypatch, "sql", "select 1"), 2, said)


def test_bad_sql_is_misuse(settings: Settings) -> None:
    refused(odh(settings, "sql", "selec 1", check=False), 2, "syntax error")


@pytest.mark.parametrize("statement", ["select 1 as one, 'é' as two", "selec 1"])
def test_a_fork_answers_as_a_process_of_its_own(
    settings: Settings, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other tests show of forks (``tests/forks``) holds for a command that a person starts."""
    fork = odh(settings, "sql", statement, check=False)
    monkeypatch.setenv("FORKS", "")
    assert odh(settings, "sql", statement, check=False) == fork


def test_a_late_error_of_sql_is_misuse_too(settings: Settings) -> None:
    late = "select if(i = 3000000, error('late'), i) from range(3000001) as t(i)"
    refused(odh(settings, "sql", late, check=False), 2, "late")


def test_a_busy_lake_is_a_failure_not_misuse(tmp_path: Path) -> None:
    settings = lake_settings(tmp_path / "lake", lock_timeout_seconds=0)
    ledger = Ledger(settings)
    with exclusive(settings, ledger, "build"):
        refused(odh(settings, "build", "cog", check=False), 1, "'build'", str(os.getpid()), "ODH_LOCK_TIMEOUT_SECONDS")
    [run] = ledger.arrow("runs").to_pylist()
    assert (run["status"], run["command"]) == ("failed", "build")
    assert "LakeBusy" in run["error"]
    ledger.close()


def test_a_run_that_is_misused_is_in_no_ledger(settings: Settings) -> None:
    refused(odh(settings, "run", "nothing", check=False), 2, "There is no feed named 'nothing'")
    assert not (settings.lake / "ledger.db").exists()


def test_output_that_nobody_reads_to_the_end_is_no_fault(settings: Settings) -> None:
    """``odh sql … | head`` closes the pipe early."""
    many = [sys.executable, "-m", "odh", "sql", "select repeat('x', 100) from range(100000)"]
    with subprocess.Popen(
        many, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stderr
        assert running.stdout.read(10)
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()


def inside(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Answer:
    """Run the command in this process, which saves its start; ``main`` and all, as a terminal would."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "argv", ["odh", *arguments])
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    code = 0
    try:
        command.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())
