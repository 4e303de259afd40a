"""JSON, ndjson and GeoJSON: every value as written, every element a row or a reject."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode import DecodedTable, decode, json_records


def read(path: Path, content: str | bytes) -> DecodedTable:
    source = path / "file.json"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    (table,) = decode(source, file_name=source.name, declared_format="json", scratch=path / "scratch")
    assert isinstance(table, DecodedTable)
    return table


def rows(table: DecodedTable) -> list[tuple[object, ...]]:
    frame = table.frame.collect()
    assert frame.height == table.rows
    return frame.rows()


TABLES = {
    "array": ('[{"a":1,"b":"x"},{"a":2,"b":"y"}]', ["a", "b"], [("1", "x", 1), ("2", "y", 2)]),
    "numbers as written": (
        '[{"a":1.10,"b":1e5,"c":123456789012345678901234567890,"d":-0,"e":1E+2}]',
        list("abcde"),
        [("1.10", "1e5", "123456789012345678901234567890", "-0", "1E+2", 1)],
    ),
    "scalars": (
        '[{"a":true,"b":false,"c":null,"d":"","e":"null"}]',
        list("abcde"),
        [("true", "false", "", "", "null", 1)],
    ),
    "text escapes": ('[{"a":"\\u00e9\\n\\"q\\"\\u0000"}]', ["a"], [('é\n"q"\0', 1)]),
    "keys that come and go": (
        '[{"a":1},{"b":2},{"a":3,"c":4}]',
        list("abc"),
        [("1", "", "", 1), ("", "2", "", 2), ("3", "", "4", 3)],
    ),
    "nested values": (
        '[{"a":{"x": 1.0, "y": [true, null]},"b":[ "é", {"z":"\\""} ]}]',
        ["a", "b"],
        [('{"x":1.0,"y":[true,null]}', '["é",{"z":"\\""}]', 1)],
    ),
    "key given twice": ('[{"a":1,"a":2}]', ["a", "a_2"], [("1", "2", 1)]),
    "object around the array": ('{"total":2,"marches":[{"a":1},{"a":2}]}', ["a"], [("1", 1), ("2", 2)]),
    "array deep inside": ('{"result":{"ok":true,"records":[{"a":1}]}}', ["a"], [("1", 1)]),
    "several arrays: the largest": ('{"x":[{"k":0}],"y":[{"a":1},{"a":2}]}', ["a"], [("1", 1), ("2", 2)]),
    "one object per line": ('{"a":1}\n{"a":2}\r\n\n{"a":3}', ["a"], [("1", 1), ("2", 2), ("3", 4)]),
    "BOM": (b'\xef\xbb\xbf[{"a":1}]', ["a"], [("1", 1)]),
    "cp1252": ('[{"a":"été à Évry"}]'.encode("cp1252"), ["a"], [("été à Évry", 1)]),
    "features": (
        '{"type":"FeatureCollection","features":['
        '{"type":"Feature","id":7,"properties":{"nom":"A"},"geometry":{"type":"Point","coordinates":[2.350,48.80, 9]}},'
        '{"type":"Feature","properties":{"nom":"B","x":1},"geometry":{"type":"LineString","coordinates":[[0,0.50],[1,1]]}},'
        '{"type":"Feature","properties":null,"geometry":null}]}',
        ["nom", "x", "id", "geometry", "longitude", "latitude"],
        [
            ("A", "", "7", "01E9030000CDCCCCCCCCCC024066666666666648400000000000002240", "2.350", "48.80", 1),
            (
                "B",
                "1",
                "",
                "0102000000020000000000000000000000000000000000E03F000000000000F03F000000000000F03F",
                "",
                "",
                2,
            ),
            ("", "", "", "", "", "", 3),
        ],
    ),
    "properties named as what stands beside them": (
        '{"type":"FeatureCollection","features":[{"type":"Feature","id":"f","properties":{"id":"p","longitude":"x"},'
        '"geometry":{"type":"Point","coordinates":[1,2]}}]}',
        ["id", "longitude", "id", "geometry", "longitude", "latitude"],
        [("p", "x", "f", "0101000000000000000000F03F0000000000000040", "1", "2", 1)],
    ),
}


@pytest.mark.parametrize(("content", "headers", "expected"), TABLES.values(), ids=TABLES)
def test_document_becomes_its_table(
    content: str | bytes, headers: list[str], expected: list[tuple[object, ...]], tmp_path: Path
) -> None:
    table = read(tmp_path, content)

    assert table.headers == headers
    assert rows(table) == expected
    assert list(table.rejects) == []


REJECTS = {
    "element that is no object": (
        '[{"a":1},2.0,"x",null]',
        [(2, "2.0", "not an object"), (3, '"x"', "not an object"), (4, "null", "not an object")],
    ),
    "line that is not JSON": ('{"a":1}\n{"a":\n{"a":2}', [(2, '{"a":', "not JSON")]),
    "half a character": (
        '[{"a":1},{"a":"\\ud800"}]',
        [(2, '{"a":"\\ud800"}', "half of a character (a lone surrogate), which no text can hold")],
    ),
    "properties that are no object": (
        '{"type":"FeatureCollection","features":[{"properties":{"a":1}},{"properties":[1]}]}',
        [(2, '{"properties":[1]}', "not an object")],
    ),
}


@pytest.mark.parametrize(("content", "expected"), REJECTS.values(), ids=REJECTS)
def test_element_that_is_no_record_is_rejected(
    content: str, expected: list[tuple[int, str, str]], tmp_path: Path
) -> None:
    table = read(tmp_path, content)

    assert [(reject.line, reject.raw_text, reject.reason) for reject in table.rejects] == expected
    assert table.rows + len(table.rejects) == max(
        2, content.count("},{") + 1, content.count("\n") + 1, 1 + len(expected)
    )


def test_other_arrays_are_named(tmp_path: Path) -> None:
    table = read(tmp_path, '{"x":[{"k":0}],"y":{"z":[{"a":1},{"a":2}]}}')

    assert (table.facts["array"], table.facts["other_arrays"]) == ("y.z", "x (1)")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "no array"),
        ("[1,2]", "no array"),
        ('{"a":{"b":1}}', "no array"),
        ("[" * 100_000, "JSON"),
        ('{"a":[[1]]}', "no array"),
    ],
    ids=["empty", "numbers", "one object", "bottomless", "arrays of arrays"],
)
def test_document_without_a_table_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=reason):
        read(tmp_path, content)


def test_document_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "MAX_BYTES", 5)
    with pytest.raises(Refused, match="not read"):
        read(tmp_path, '[{"a":1}]')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1), min_size=1), ascii_only=st.booleans()
)
def test_any_array_of_objects_is_read_back(records: list[dict[str, object]], ascii_only: bool, tmp_path: Path) -> None:
    table = read(tmp_path, json.dumps(records, ensure_ascii=ascii_only, indent=1))

    found = [dict(zip(table.headers, cells, strict=False)) for cells in rows(table)]
    assert len(found) == len(records)
    for record, cells in zip(records, found, strict=True):
        for key, cell in cells.items():
            value = record.get(key)
            assert (
                cell == ("" if value is None else value)
                if value is None or isinstance(value, str)
                else json.loads(str(cell)) == value
            )
