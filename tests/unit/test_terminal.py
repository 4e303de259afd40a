"""What people and machines see of a command's rows."""

from __future__ import annotations

import json

import pytest

from catalog.terminal import console, print_json, print_rows, print_table


def test_square_brackets_in_data_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "[/b]"), [("Rue [ancien nom]", 1), ("[/b]", None)])
    shown = capsys.readouterr().out
    assert "Rue [ancien nom]" in shown
    assert shown.count("[/b]") == 2


def test_what_json_has_no_word_for_does_not_break_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rows": [[float("nan"), {1: float("inf")}]]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"rows": [[None, {"1": None}]]}


def test_rows_too_wide_for_the_terminal_are_shown_one_under_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    columns = [f"departement_measure_{number}" for number in range(18)]
    print_rows(columns, [[f"value [b]{number}" for number in range(18)], [None] * 18])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["departement_measure_17", "value", "[b]17"] in lines
    assert [line[:2] for line in lines if "row" in line] == [["row", "1"], ["row", "2"]]


def test_rows_that_fit_the_terminal_are_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    print_rows(["code", "nom"], [[1, "Bourg-en-Bresse " * 20]])
    assert "│    1 │ Bourg-en-Bresse" in capsys.readouterr().out


def test_a_geometry_does_not_fill_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["code", "geometry"], [["02", bytes(5000)], ["03", bytes([1, 255])]])
    shown = capsys.readouterr().out
    assert "0000… (5.0 kB)" in shown
    assert "01ff" in shown
    assert len(shown) < 1500
