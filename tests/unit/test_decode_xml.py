"""XML: which element is a row, what becomes a column, what a table of its own; nothing lost, nothing trusted."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office_files import zipped

from catalog.errors import NotATable, Refused
from ingestion.decode import DecodedTable, RefusedMember, decode, xml_structure

Tables = dict[str | None, tuple[list[str], list[tuple[object, ...]]]]


def read(path: Path, content: str | bytes) -> list[DecodedTable | RefusedMember]:
    source = path / "source"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(decode(source, file_name="file.xml", declared_format="xml", scratch=path / "scratch"))


def tables(path: Path, content: str | bytes) -> Tables:
    """What each table holds, by member."""
    return {one.member: contents(one) for one in read(path, content)}


def contents(one: DecodedTable | RefusedMember) -> tuple[list[str], list[tuple[object, ...]]]:
    assert isinstance(one, DecodedTable)
    frame = one.frame.collect(engine="streaming")
    assert frame.height == one.rows
    assert frame.null_count().sum_horizontal().item() == 0
    assert len(set(one.columns)) == len(one.headers)
    return one.headers, frame.rows()


CASES: dict[str, tuple[str, Tables]] = {
    "attributes, then what it holds once": (
        '<l><r id="1" b="x"><c>2</c><d e="3"/></r><r id="4"><c>5</c></r></l>',
        {None: (["id", "b", "c", "d_e"], [("1", "x", "2", "3", 1), ("4", "", "5", "", 2)])},
    ),
    "texts only": ("<l><v>a</v><v/><v> b\n</v></l>", {None: (["v"], [("a", 1), ("", 2), (" b\n", 3)])}),
    "what repeats within": (
        '<l><p id="7"><x v="1"/><x v="2"/></p><p id="8"><x v="3">t</x></p><p id="9"/></l>',
        {
            None: (["id"], [("7", 1), ("8", 2), ("9", 3)]),
            "x": (["p_id", "p_number", "v", "x"],
                  [("7", "1", "1", "", 1), ("7", "1", "2", "", 2), ("8", "2", "3", "t", 3)]),
        },
    ),
    "parents without an identifier each": (
        '<l><p id="7"><x>1</x><x>2</x></p><p><x>3</x></p><p/></l>',
        {
            None: (["id"], [("7", 1), ("", 2), ("", 3)]),
            "x": (["p_number", "x"], [("1", "1", 1), ("1", "2", 2), ("2", "3", 3)]),
        },
    ),
    "containers between": (
        '<l><p><h auto-24="1"><j n="Lu"><o a="8"/><o a="14"/></j><j n="Ma"/></h></p><p/><p/><p/></l>',
        {
            None: (["h_auto-24"], [("1", 1), ("", 2), ("", 3), ("", 4)]),
            "h/j": (["p_number", "n"], [("1", "Lu", 1), ("1", "Ma", 2)]),
            "h/j/o": (["p_number", "j_number", "a"], [("1", "1", "8", 1), ("1", "1", "14", 2)]),
        },
    ),
    "beside the main element": (
        '<f date="2024"><title>T</title><s k="1"/><s k="2"/><d><r>1</r><r>2</r><r>3</r></d></f>',
        {
            None: (["r"], [("1", 1), ("2", 2), ("3", 3)]),
            "f/s": (["k"], [("1", 1), ("2", 2)]),
            "f": (["date", "title"], [("2024", "T", 1)]),
        },
    ),
    "a folder of many": (
        "<k>" + "".join(f'<f n="{f}">' + "<p>1</p>" * 25 + "</f>" for f in "ab") + "</k>",
        {
            None: (["f_number", "p"], [(str(1 + at // 25), "1", at + 1) for at in range(50)]),
            "k/f": (["n"], [("a", 1), ("b", 2)]),
        },
    ),
    "namespaces": (
        '<a:l xmlns:a="u" xmlns="v" xmlns:xsi="w" xsi:schemaLocation="s"><a:r xml:lang="fr"><t>1</t><a:t>2</a:t></a:r>'
        "<a:r/></a:l>",
        {None: (["lang", "t", "t"], [("fr", "1", "2", 1), ("", "", "", 2)])},
    ),
    "mixed content": (
        "<l><r><t>1 &lt; 2<b x='&amp;'>bold</b> &amp; more<br/></t></r><r><t>a &amp; b</t></r></l>",
        {None: (["t"], [('1 &lt; 2<b x="&amp;">bold</b> &amp; more<br></br>', 1), ("a & b", 2)])},
    ),
    "entities, CDATA and comments": (
        "<l><!-- no --><r>&lt;&#233;<![CDATA[<x>]]><!-- no -->z</r><r><?p i?>2</r></l>",
        {None: (["r"], [("<é<x>z", 1), ("2", 2)])},
    ),
    "text or element": ("<l><r>a</r><r>\n <b>1</b>\n</r></l>", {None: (["r", "b"], [("a", "", 1), ("", "1", 2)])}),
    "empty elements": ("<l><r/><r/></l>", {None: (["r"], [("", 1), ("", 2)])}),
    "line breaks and quotes": ('<l><r>a"\n;,\r\nb</r><r a="x&#10;y"/></l>',
                               {None: (["a", "r"], [("", 'a"\n;,\nb', 1), ("x\ny", "", 2)])}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES.keys())
def test_document_becomes_its_tables(content: str, expected: Tables, tmp_path: Path) -> None:
    found = tables(tmp_path, content)
    assert found == expected
    assert list(found) == list(expected)


ENCODINGS = {
    "declared": ('<?xml version="1.0" encoding="ISO-8859-1"?><l><r>é</r><r>\x80</r></l>'.encode("latin-1"),
                 "iso-8859-1", ["é", "\x80"]),
    "cp1252": ('<?xml version="1.0" encoding="windows-1252"?><l><r>œ</r><r>€</r></l>'.encode("cp1252"),
               "windows-1252", ["œ", "€"]),
    "declared latin-1, written in utf-8": (
        '<?xml version="1.0" encoding="ISO-8859-1"?><l><r>été</r><r/></l>'.encode(), "utf-8", ["été", ""]),
    "declared latin-1, plain": (
        b'<?xml version="1.0" encoding="ISO-8859-1"?><l><r>a</r><r/></l>', "iso-8859-1", ["a", ""]),
    "none declared": ("<l><r>é</r><r/></l>".encode(), "utf-8", ["é", ""]),
    "a mark": ("\ufeff<?xml version='1.0'?><l><r>é</r><r/></l>".encode(), "utf-8-sig", ["é", ""]),
    "utf-16": ('<?xml version="1.0" encoding="utf-16"?><l><r>é</r><r/></l>'.encode("utf-16"), "utf-16", ["é", ""]),
    "declared utf-8, written in cp1252": (
        '<?xml version="1.0" encoding="utf-8"?><l><r>été à Œuilly</r><r/></l>'.encode("cp1252"),
        "cp1252", ["été à Œuilly", ""]),
    "declared in one that nobody knows": (
        '<?xml version="1.0" encoding="ansi-fr"?><l><r>été</r><r/></l>'.encode(), "utf-8", ["été", ""]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "encoding", "texts"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_encoding_is_the_declared_one_unless_the_bytes_contradict_it(
    content: bytes, encoding: str, texts: list[str], tmp_path: Path
) -> None:
    (one,) = read(tmp_path, content)
    assert isinstance(one, DecodedTable)
    assert one.facts["encoding"] == encoding
    assert [row[0] for row in contents(one)[1]] == texts


def test_members_of_an_archive_and_facts(tmp_path: Path) -> None:
    content = '<?xml version="1.0"?><l><p><x>1</x><x>2</x></p><p/><p/></l>'
    first, second = read(tmp_path, zipped({"d/f.xml": content}))
    assert (first.member, second.member) == ("d/f.xml", "d/f.xml/x")
    assert isinstance(second, DecodedTable)
    assert (second.facts["kind"], second.facts["element"]) == ("xml", "l/p/x")


def test_map_in_a_kmz_is_read_from_its_kml(tmp_path: Path) -> None:
    place = "<Placemark><name>a</name><Point><coordinates>2.5,48.1,0</coordinates></Point></Placemark>"
    kml = f'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>{place * 2}</Document></kml>'
    first, second = read(tmp_path, zipped({"doc.kml": kml, "files/i.png": b"\x89PNG"}))
    assert contents(first) == (
        ["name", "Point_coordinates"], [("a", "2.5,48.1,0", 1), ("a", "2.5,48.1,0", 2)],
    )  # fmt: skip
    assert (first.member, second.member) == ("doc.kml", "files/i.png")


BOMB = '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><l><r>&b;</r><r/></l>'
REFUSED = {
    "no repeating element": ("<l><a>1</a><b>2</b></l>", Refused, "no element that repeats"),
    "prose": ("<?xml version='1.0'?><p>some <b>bold</b> and <b>more</b></p>", Refused, "no element that repeats"),
    "cut": ("<l><r>1</r><r>2</r><r>", Refused, "not well-formed: no element found, at line 1"),
    "tags that cross": ("<l><r><a></r></a></l>", Refused, "not well-formed"),
    "entity bomb": (BOMB, Refused, "declares an entity"),
    "outer entity": ('<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><l><r>&a;</r></l>', Refused, "entity"),
    "entity of another file": ('<!DOCTYPE l SYSTEM "http://x/l.dtd"><l><r>&eacute;</r><r/></l>', Refused, "eacute"),
    "nested without end": ("<?xml version='1.0'?>" + "<a>" * 1000, Refused, "nested more than"),
    "page": ("<?xml version='1.0'?><x:html xmlns:x='y'><p/><p/></x:html>", NotATable, "HTML page"),
    "picture": ("<svg xmlns='http://www.w3.org/2000/svg'><g/><g/></svg>", NotATable, "SVG image"),
    "names as data": (
        "<?xml version='1.0'?><l>" + "".join(f"<n{at}/>" for at in range(xml_structure.MAX_PATHS)) + "</l>",
        Refused, "kinds of elements"),
    "too many tables": (
        "<?xml version='1.0'?><l>" + "".join(f"<n{at}/><n{at}/>" for at in range(300)) + "</l>", Refused, "repeating"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "error", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_holds_no_table_is_refused_with_its_reason(
    content: str, error: type[Refused], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=reason) as raised:
        read(tmp_path, content)
    assert type(raised.value) is error


def test_document_type_of_another_file_is_not_fetched(tmp_path: Path) -> None:
    found = tables(tmp_path, '<!DOCTYPE l SYSTEM "http://127.0.0.1:9/l.dtd"><l><r>1</r><r>2</r></l>')
    assert found == {None: (["r"], [("1", 1), ("2", 2)])}


LEGAL = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8)
RECORDS = st.lists(st.tuples(LEGAL, LEGAL, st.lists(LEGAL, max_size=3)), min_size=4, max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS)
def test_every_text_comes_back_in_its_row(records: list[tuple[str, str, list[str]]], tmp_path: Path) -> None:
    body = "".join(
        f"<r><a>{escape(a)}</a><b c={quoted(b)}/>{''.join(f'<x>{escape(x)}</x>' for x in xs)}</r>"
        for a, b, xs in [*records, ("", "", ["", ""])]
    )
    found = tables(tmp_path, f"<l>{body}</l>")
    assert found[None] == (
        ["a", "b_c"],
        [(a, b, at) for at, (a, b, _) in enumerate([*records, ("", "", "")], 1)],
    )
    links = [(str(at), x) for at, (_, _, xs) in enumerate([*records, ("", "", ["", ""])], 1) for x in xs]
    assert [row[:2] for row in found["x"][1]] == links


def quoted(text: str) -> str:
    return '"' + escape(text, {'"': "&quot;"}) + '"'


SMALL = (
    b'<?xml version="1.0" encoding="ISO-8859-1"?><l d="1"><p id="1"><x v="\xe9">t</x><x/></p>'
    b'<p id="2">&amp;<b>m</b></p><p/></l>'
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.binary(max_size=2)), min_size=1, max_size=4))
def test_any_bytes_are_read_or_refused(changes: list[tuple[int, bytes]], tmp_path: Path) -> None:
    content = SMALL
    for at, patch in changes:
        content = content[:at] + patch + content[at + 1 :]
    read_or_refused(tmp_path, content)


TAGS = ("<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "<a/>", "text", " ", "&lt;", "<![CDATA[", "]]>", "<!--", "-->", "<")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(TAGS), max_size=20))
def test_any_tags_are_read_or_refused(pieces: list[str], tmp_path: Path) -> None:
    read_or_refused(tmp_path, f"<?xml version='1.0'?><l>{''.join(pieces)}</l>".encode())


def read_or_refused(path: Path, content: bytes) -> None:
    try:
        found = read(path, content)
    except Refused as error:
        if "unexpected" in str(error):
            raise AssertionError(f"{content!r} was not foreseen") from error
        return
    for one in found:
        contents(one)
