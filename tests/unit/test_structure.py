"""The measure of delimited text: the same wherever the file is cut, and none of text that breaks the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.decode.structure import IrregularText, Structure, measure

CUT = b'a;b\n1;2\r\n"3\n3";4\r\n\r\n5\n"6""";";"\n' + b'7;"' + b"x\n" * 40 + b'"\n8;9'


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 8, 13, 64, 1000])
@pytest.mark.parametrize("halved_from_bytes", [0, 1000], ids=["halves", "whole"])
def test_measure_does_not_depend_on_the_chunks(halved_from_bytes: int, chunk_bytes: int, tmp_path: Path) -> None:
    found = measured(tmp_path, CUT, chunk_bytes=chunk_bytes, halved_from_bytes=halved_from_bytes)

    assert found is not None
    assert found.rows == 5
    assert found.ragged.tolist() == [[20, 22, 6, 1]]
    assert found.blanks.tolist() == [[18, 20]]
    line_of = found.shifts[np.searchsorted(found.shifts[:, 0], range(5), side="right") - 1, 1] + range(5)
    assert line_of.tolist() == [2, 3, 7, 8, 49]


def measured(path: Path, content: bytes, **sizes: int) -> Structure | None:
    file = path / "measured.csv"
    file.write_bytes(content)
    try:
        return measure(file, separator=b";", width=2, offset=4, first_line=2, **sizes)
    except IrregularText:
        return None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(["1;2\n", "1\n", "\n", '"a\n";1\r\n', '"', "\r\n", '1;"\n\n"\n']), max_size=12))
def test_halves_give_the_measure_of_the_whole(pieces: list[str], tmp_path: Path) -> None:
    content = "".join(["a;b\n", *pieces]).encode()
    halves, whole = (measured(tmp_path, content, halved_from_bytes=size) for size in (0, 1000))

    if halves is None or whole is None:
        assert halves is whole
        return
    assert (halves.rows, halves.next_line, halves.is_quoted) == (whole.rows, whole.next_line, whole.is_quoted)
    assert halves.ragged.tolist() == whole.ragged.tolist()
    assert halves.blanks.tolist() == whole.blanks.tolist()
    rows = range(whole.rows)
    shifts = [found.shifts[np.searchsorted(found.shifts[:, 0], rows, side="right") - 1, 1] for found in (halves, whole)]
    assert shifts[0].tolist() == shifts[1].tolist()


IRREGULAR = {
    "quote in text": b'a"b;c\n',
    "text after quotes": b'"a"b;c\n',
    "never closed": b'"a;b\n',
    "never closed at the end": b'a;"b',
    "CR in text": b"a\rb;c\n",
    "CR at the end": b"a;b\r",
    "spaces around quotes": b'a; "b"\n',
}


@pytest.mark.parametrize("chunk_bytes", [1, 4, 1000])
@pytest.mark.parametrize("content", IRREGULAR.values(), ids=IRREGULAR)
def test_text_that_breaks_the_rules_is_irregular(content: bytes, chunk_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "irregular.csv"
    path.write_bytes(content)
    with pytest.raises(IrregularText):
        measure(path, separator=b";", width=2, offset=0, first_line=1, chunk_bytes=chunk_bytes)
