"""docs/cli.md and every example of every document say what the ``odh`` command really takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import typer
from documents import ROOT, code_blocks, documents

import odh

ROOT_COMMAND: Any = typer.main.get_command(odh.app)
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## `odh ([a-z -]+)`\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
CALL = re.compile(r"^(?:\$ )?((?:[A-Z_]+=\S+ +)*)(?:\.venv/bin/)?odh( .*)?$")
REDIRECTION = re.compile(r"\s[|>]\s.*$")


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from leaves(child, (*path, name))
        else:
            yield " ".join((*path, name)), child


COMMANDS = dict(leaves(ROOT_COMMAND))


def examples() -> Iterator[tuple[str, str]]:
    """Each line of each document's code that calls ``odh``, and where it stands."""
    for document in documents():
        for block in code_blocks(document.read_text("utf-8")):
            for line in block.splitlines():
                if found := CALL.match(line.strip()):
                    yield document.relative_to(ROOT).as_posix(), (found[2] or "").strip()


EXAMPLES = sorted(set(examples()))


def test_every_command_has_its_section() -> None:
    assert set(SECTIONS) == set(COMMANDS), "docs/cli.md needs one '## `odh <command>`' section for each command"


@pytest.mark.parametrize("path", COMMANDS)
def test_a_section_has_the_help_an_example_and_every_option(path: str) -> None:
    section, command = SECTIONS[path], COMMANDS[path]
    missing = [] if command.help.strip() in section else [command.help.strip()]
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        names = parameter.opts if is_option else [(parameter.metavar or parameter.name.upper()).strip("[].").strip("]")]
        missing += [f"| `{name}` | {parameter.help or ''} |" for name in names if f"`{name}`" not in section]
        missing += [parameter.help] if parameter.help and parameter.help not in section else []
    if f"\nodh {path}" not in section:
        missing.append(f"an example of odh {path}")
    assert not missing, f"docs/cli.md, section odh {path}, needs:\n" + "\n".join(missing)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_section_names_no_option_that_is_not_there(path: str) -> None:
    options = {name for parameter in COMMANDS[path].params for name in parameter.opts + parameter.secondary_opts}
    assert set(re.findall(r"`(--[a-z-]+)`", SECTIONS[path])) <= options


@pytest.mark.parametrize(("document", "call"), EXAMPLES, ids=lambda value: value)
def test_examples_of_every_document_can_be_called(document: str, call: str) -> None:
    today = date.today().isoformat()  # noqa: DTZ011 - the shell's day
    words = shlex.split(REDIRECTION.sub("", call).replace("$(date +%F)", today), comments=True)
    command = ROOT_COMMAND
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{document}: odh {call}: there is no {words[0]!r}"
        command = command.commands[words.pop(0)]
    if not hasattr(command, "commands"):
        command.make_context("odh", words)  # reads the words as a call would, and does nothing


def test_inline_code_names_commands_that_exist() -> None:
    for document in documents():
        for words in re.findall(r"`odh ([a-z][a-z -]*)[^`]*`", document.read_text("utf-8")):
            assert words.split()[0] in ROOT_COMMAND.commands, f"{document.relative_to(ROOT)}: `odh {words}`"
