"""What people and machines see of a command's rows."""

from __future__ import annotations

import json

import pytest

from catalog.terminal import print_json, print_table


def test_square_brackets_in_data_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "[/b]"), [("Rue [ancien nom]", 1), ("[/b]", None)])
    shown = capsys.readouterr().out
    assert "Rue [ancien nom]" in shown
    assert shown.count("[/b]") == 2


def test_what_json_has_no_word_for_does_not_break_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rows": [[float("nan"), {1: float("inf")}]]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"rows": [[None, {"1": None}]]}
