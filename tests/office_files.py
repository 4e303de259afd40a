"""Tiny workbooks, made by hand: an office file is a ZIP archive of XML parts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
FORMATS = {"general": 0, "date": 14, "time": 21, "duration": 46, "moment": 22, "percent": 10, "text": 49}
STYLES = list(FORMATS)
Row = Sequence[str | None]


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive of these files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def column(position: int) -> str:
    """The letters of a column from its position."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def cells(rows: Sequence[Row], first_row: int = 1) -> str:
    """The XML of rows of text; ``None`` leaves a cell out, an empty row leaves the row out."""
    return "".join(
        f'<row r="{number}">'
        + "".join(
            f'<c r="{column(at)}{number}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
            for at, cell in enumerate(row)
            if cell is not None
        )
        + "</row>"
        for number, row in enumerate(rows, first_row)
        if row
    )


def xlsx(
    sheets: Mapping[str, str],
    *,
    states: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    texts: Sequence[str] = (),
    codes: Mapping[int, str] | None = None,
    properties: str = "",
) -> bytes:
    """A workbook whose sheets have this XML as rows.

    Args:
        sheets: name → XML of the rows, as `cells` writes it.
        states: name → ``hidden`` or ``veryHidden``.
        kinds: name → ``chartsheet``, for one that is no worksheet.
        texts: XML of the shared texts.
        codes: identifier of a number format of its own → its code; they come after those of `FORMATS` as styles.
        properties: XML of the workbook's properties.
    """
    states, kinds, codes = states or {}, kinds or {}, codes or {}
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{at}" state="{states.get(name, "visible")}" r:id="rId{at}"/>'
        for at, name in enumerate(sheets, 1)
    )
    relations = "".join(
        f'<Relationship Id="rId{at}" Type="{RELATIONS}/{kinds.get(name, "worksheet")}" '
        f'Target="worksheets/sheet{at}.xml"/>'
        for at, name in enumerate(sheets, 1)
    )
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in [*FORMATS.values(), *codes])
    formats = "".join(f'<numFmt numFmtId="{number}" formatCode={quoteattr(code)}/>' for number, code in codes.items())
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}">{properties}'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{relations}'
        f'<Relationship Id="s" Type="{RELATIONS}/styles" Target="/xl/styles.xml"/>'
        f'<Relationship Id="t" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{formats}</numFmts><cellXfs>{styles}</cellXfs>'
        "</styleSheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{"".join(f"<si>{text}</si>" for text in texts)}</sst>',
    }
    for at, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{at}.xml"] = (
            f'<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return zipped(parts)


def ods(tables: str, *, styles: str = "", manifest: str = "<m/>", kind: str = "spreadsheet") -> bytes:
    """An OpenDocument file whose sheets are this XML."""
    spaces = " ".join(f'xmlns:{one}="urn:oasis:names:tc:opendocument:xmlns:{one}:1.0"' for one in ODS_SPACES)
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {spaces}><office:automatic-styles>{styles}'
        f"</office:automatic-styles><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    return zipped({"mimetype": mimetype, "content.xml": content, "META-INF/manifest.xml": manifest})


ODS_SPACES = ("office", "table", "text", "style", "calcext")
