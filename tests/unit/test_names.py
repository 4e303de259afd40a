"""Identifiers made from French headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.names import MAX_LENGTH, column_names, quote_identifier, quote_literal, to_snake


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Num_Acc", "num_acc"),
        ("accessibilité", "accessibilite"),
        ("Libellé de la CSP (n°)", "libelle_de_la_csp_n"),
        ("coordonneesXY", "coordonneesxy"),
        ("cœur", "coeur"),
        ("% Voix/Exp", "voix_exp"),
        ("1er tour", "c_1er_tour"),
        ("", ""),
        ("🙂", ""),
    ],
)
def test_to_snake_gives_plain_identifiers(text: str, expected: str) -> None:
    assert to_snake(text) == expected


def test_column_names_are_unique_and_never_empty() -> None:
    assert column_names(["a", "A", "", "à", "a_2"]) == ["a", "a_2", "column_3", "a_3", "a_2_2"]


@given(st.lists(st.text(max_size=80), max_size=30))
def test_column_names_hold_for_any_header(headers: list[str]) -> None:
    names = column_names(headers)
    assert len(names) == len(headers) == len(set(names))
    assert all(name and len(name) <= MAX_LENGTH and name.isascii() for name in names)


def test_quoting_doubles_the_quotes() -> None:
    assert quote_identifier('a"b') == '"a""b"'
    assert quote_literal("l'an") == "'l''an'"
