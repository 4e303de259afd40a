"""Geometries: GeoJSON's, shapefiles', dBase tables, against DuckDB's own reading of them."""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode import DecodedTable, RefusedMember, decode
from ingestion.decode.geometry import geometry_hex, spatial_cursor
from ingestion.decode.json_text import parse

POINTS = """
    select * from (values
        ('01234', 'Éragny', 12, 0.5, date '2024-01-02', 'POINT (652000 6862000)'),
        ('2A004', 'Ajaccio ', null, 1.25, null, null),
        ('', null, -3, null, date '1999-12-31', 'POINT (1176000 6105000.5)')
    ) as t (code, nom, n, taux, jour, wkt)
"""


def shapefile(folder: Path, select: str, srs: str = "EPSG:2154", name: str = "zone") -> dict[str, bytes]:
    """The parts of a shapefile written by GDAL; the column ``wkt`` is its geometry."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.shp"
    with spatial_cursor() as cursor:
        cursor.execute(
            f"copy (select * exclude (wkt), st_geomfromtext(wkt) as geom from ({select})) "
            f"to '{target}' (format gdal, driver 'ESRI Shapefile', srs '{srs}')"
        )
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def run(path: Path, content: bytes, name: str = "lies.csv") -> list[DecodedTable | RefusedMember]:
    source = path / "source"
    source.write_bytes(content)
    return list(decode(source, file_name=name, declared_format=None, scratch=path / "scratch"))


def only(path: Path, content: bytes) -> DecodedTable:
    (table,) = run(path, content)
    assert isinstance(table, DecodedTable)
    assert table.frame.collect().height == table.rows
    return table


def wkb(text: str) -> str:
    """What DuckDB writes for a geometry given as text."""
    with spatial_cursor() as cursor:
        return str(cursor.execute("select st_ashexwkb(st_geomfromtext(?))", [text]).fetchall()[0][0])


def test_shapefile_keeps_its_text_and_places_its_points(tmp_path: Path) -> None:
    parts = shapefile(tmp_path / "made", POINTS)
    table = only(tmp_path, zipped({f"dossier/{name}": content for name, content in parts.items()}))

    assert table.member == "dossier/zone.shp"
    assert table.headers == ["code", "nom", "n", "taux", "jour", "geometry", "longitude", "latitude"]
    rows = table.frame.collect().rows()
    assert [row[:5] for row in rows] == [
        ("01234", "Éragny", "12", "0.50", "2024-01-02"),
        ("2A004", "Ajaccio", "", "1.25", ""),
        ("", "", "-3", "", "1999-12-31"),
    ]
    assert [row[5] for row in rows] == [wkb("POINT (652000 6862000)"), "", wkb("POINT (1176000 6105000.5)")]
    assert rows[0][6:] == ("2.345811959", "48.856248141", 1)
    assert rows[1][6:] == ("", "", 2)
    assert (float(rows[2][6]), float(rows[2][7])) == pytest.approx((8.6, 42), abs=0.5)
    assert table.facts["crs"] == "RGF_1993_Lambert_93"


def test_positions_in_degrees_stay_as_they_are(tmp_path: Path) -> None:
    table = only(tmp_path, zipped(shapefile(tmp_path / "made", "select 1 as a, 'POINT (2.35 48)' as wkt", "EPSG:4326")))

    assert table.frame.collect().select("longitude", "latitude").rows() == [("2.35", "48")]


def test_shapes_that_are_no_points_have_no_position(tmp_path: Path) -> None:
    polygon = "POLYGON Z ((0 0 1, 0 4 1, 4 4 1, 4 0 1, 0 0 1), (1 1 1, 2 1 1, 2 2 1, 1 2 1, 1 1 1))"
    parts = shapefile(tmp_path / "made", f"select 1 as a, '{polygon}' as wkt", "EPSG:4326")
    table = only(tmp_path, zipped(parts))

    assert table.headers == ["a", "geometry"]
    assert table.frame.collect()["geometry"].to_list() == [wkb(polygon)]


def test_each_shapefile_of_an_archive_is_a_table_beside_the_others(tmp_path: Path) -> None:
    members = {
        **shapefile(tmp_path / "one", POINTS, name="un"),
        **shapefile(tmp_path / "two", POINTS, name="DEUX"),
        "un.shp.xml": b"<x/>",
        "un.sbn": b"\0",
        "notice.csv": b"a;b\n1;2\n",
    }
    found = run(tmp_path, zipped(members))

    assert sorted((str(one.member), type(one).__name__) for one in found) == [
        ("DEUX.shp", "DecodedTable"),
        ("notice.csv", "DecodedTable"),
        ("un.shp", "DecodedTable"),
    ]


def test_shapefile_in_a_tar_archive(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for name, content in shapefile(tmp_path / "made", POINTS).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

    assert only(tmp_path, buffer.getvalue()).rows == 3


def test_missing_index_is_made_again(tmp_path: Path) -> None:
    parts = shapefile(tmp_path / "made", POINTS)
    whole = only(tmp_path, zipped(parts)).frame.collect()
    del parts["zone.shx"]

    assert only(tmp_path, zipped(parts)).frame.collect().equals(whole)


def test_deleted_records_leave_with_their_shapes(tmp_path: Path) -> None:
    parts = shapefile(tmp_path / "made", POINTS)
    dbf = bytearray(parts["zone.dbf"])
    dbf[struct.unpack_from("<H", dbf, 8)[0]] = ord("*")
    table = only(tmp_path, zipped({**parts, "zone.dbf": bytes(dbf)}))

    assert table.frame.collect().select("code", "geometry").rows() == [
        ("2A004", ""),
        ("", wkb("POINT (1176000 6105000.5)")),
    ]
    assert table.facts["deleted_records"] == "1"


def test_shape_that_cannot_be_read_leaves_its_row_and_is_counted(tmp_path: Path) -> None:
    parts = shapefile(tmp_path / "made", "select 1 as a, 'LINESTRING (0 0, 1 1)' as wkt")
    shapes = bytearray(parts["zone.shp"])
    struct.pack_into("<i", shapes, 100 + 8 + 36, 1 << 30)  # its number of parts
    table = only(tmp_path, zipped({**parts, "zone.shp": bytes(shapes)}))

    assert table.frame.collect().rows() == [("1", "", 1)]
    assert table.facts["unreadable_shapes"] == "1"


def test_many_shapes_stay_with_their_records(tmp_path: Path) -> None:
    select = "select i as n, 'POINT (' || i || ' 0)' as wkt from range(9000) as t (i)"
    frame = only(tmp_path, zipped(shapefile(tmp_path / "made", select))).frame.collect()
    xs = [struct.unpack_from("<d", bytes.fromhex(geometry), 5)[0] for geometry in frame["geometry"]]

    assert [int(n) for n in frame["n"]] == xs == list(range(9000))


@pytest.mark.parametrize(
    ("encoding", "declared", "name"),
    [
        ("utf-8", b"UTF-8", "utf-8"),
        ("utf-8", None, "utf-8"),
        ("cp1252", b"ANSI 1252", "cp1252"),
        ("cp1252", None, "cp1252"),
        ("latin-1", b"ISO-8859-1", "latin-1"),
        ("cp850", b"850", "cp850"),
        ("mac-roman", None, "mac-roman"),
    ],
)
def test_text_is_read_as_declared_or_as_it_looks(
    encoding: str, declared: bytes | None, name: str, tmp_path: Path
) -> None:
    parts = shapefile(tmp_path / "made", "select 'AAAAAAAAAAAAAAAA' as nom, 'POINT (1 1)' as wkt")
    dbf = bytearray(parts["zone.dbf"].replace(b"A" * 16, "été à Noël".encode(encoding).ljust(16)))
    dbf[29] = 0
    members = {**parts, "zone.dbf": bytes(dbf)} | ({"zone.cpg": declared} if declared else {})
    members = members if declared else {part: content for part, content in members.items() if part != "zone.cpg"}
    table = only(tmp_path, zipped(members))

    assert table.frame.collect()["nom"].to_list() == ["été à Noël"]
    assert table.facts["encoding"] == name


def test_lone_dbf_is_a_table(tmp_path: Path) -> None:
    dbf = shapefile(tmp_path / "made", POINTS)["zone.dbf"]
    table = only(tmp_path, dbf)

    assert (table.headers, table.rows) == (["code", "nom", "n", "taux", "jour"], 3)
    assert table.frame.collect()["code"].to_list() == ["01234", "2A004", ""]


def test_parts_that_do_not_make_a_shapefile_are_refused(tmp_path: Path) -> None:
    parts = shapefile(tmp_path / "made", POINTS)
    bare = {name: content for name, content in parts.items() if not name.endswith("shx")}
    cases = {
        "without its .dbf": {name: content for name, content in parts.items() if not name.endswith("dbf")},
        "3 shapes and the .dbf 2": {**parts, "zone.dbf": shortened(parts["zone.dbf"])},
        "cut": {**parts, "zone.dbf": parts["zone.dbf"][:-60]},
        "beyond its end": {**parts, "zone.shp": parts["zone.shp"][:110]},
        "no index": {name: content[:110] if name.endswith("shp") else content for name, content in bare.items()},
    }
    for reason, members in cases.items():
        with pytest.raises(Refused, match=reason):
            run(tmp_path, zipped(members))
    with pytest.raises(Refused, match=r"without its \.dbf"):
        run(tmp_path, parts["zone.shp"])


def shortened(dbf: bytes) -> bytes:
    return dbf[:4] + struct.pack("<I", 2) + dbf[8:]


def test_dbf_with_columns_that_are_no_text_is_refused(tmp_path: Path) -> None:
    dbf = shapefile(tmp_path / "made", POINTS)["zone.dbf"]
    with pytest.raises(Refused, match="type M"):
        run(tmp_path, dbf[:43] + b"M" + dbf[44:])


def geopackage(folder: Path, select: str) -> bytes:
    """A GeoPackage of one table written by GDAL."""
    target = folder / "made.gpkg"
    with spatial_cursor() as cursor:
        cursor.execute(
            f"copy (select * exclude (wkt), st_geomfromtext(wkt) as geom from ({select})) "
            f"to '{target}' (format gdal, driver 'GPKG', srs 'EPSG:2154')"
        )
    return target.read_bytes()


def test_each_table_of_a_geopackage_is_a_table(tmp_path: Path) -> None:
    content, paris = geopackage(tmp_path, POINTS), wkb("POINT (652000 6862000)")
    table = only(tmp_path, content)

    assert (table.member, table.facts["crs"]) == ("made", "EPSG:2154")
    assert table.headers == ["fid", "code", "nom", "n", "taux", "jour", "geometry", "longitude", "latitude"]
    assert table.frame.collect().rows()[:2] == [
        ("1", "01234", "Éragny", "12", "0.5", "2024-01-02", paris, "2.345811959", "48.856248141", 1),
        ("2", "2A004", "Ajaccio ", "", "1.25", "", "", "", "", 2),
    ]
    assert [one.member for one in run(tmp_path, zipped({"a.gpkg": content}))] == ["a.gpkg/made"]


def test_geometry_of_a_geopackage_that_is_malformed_refuses_its_table(tmp_path: Path) -> None:
    content = geopackage(tmp_path, POINTS)
    with pytest.raises(Refused, match="made: A geometry of this table is malformed"):
        run(tmp_path, content.replace(b"GP\0\1", b"XX\0\1"))


def test_other_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "made.db")) as database:
        database.execute("create table t (a)")
    with pytest.raises(Refused, match="no GeoPackage"):
        run(tmp_path, (tmp_path / "made.db").read_bytes())
    with pytest.raises(Refused, match="cut or corrupt"):
        run(tmp_path, geopackage(tmp_path, POINTS)[:5000])


def collection(*geometries: object, **members: object) -> bytes:
    features = [{"type": "Feature", "properties": {"n": at}, "geometry": one} for at, one in enumerate(geometries, 1)]
    return json.dumps({"type": "FeatureCollection", **members, "features": features}).encode()


def crs(name: str) -> dict[str, object]:
    return {"type": "name", "properties": {"name": name}}


def test_malformed_geometry_is_a_reject_and_null_one_a_row(tmp_path: Path) -> None:
    good = {"type": "Point", "coordinates": [1, 2]}
    table = only(
        tmp_path,
        collection(
            good,
            None,
            {"type": "Point", "coordinates": []},
            {"type": "Point", "coordinates": [None, None]},
            {"type": "Point", "coordinates": ["1", "2"]},
            {"type": "Circle", "coordinates": [1, 2]},
            {"type": "Point"},
            {"type": "Polygon", "coordinates": [[1, 2]]},
            [1, 2],
        ),
    )

    assert table.frame.collect().rows() == [
        ("1", wkb("POINT (1 2)"), "1", "2", 1),
        ("2", "", "", "", 2),
        ("3", wkb("POINT EMPTY"), "", "", 3),
        ("4", "", "", "", 4),
    ]
    assert [one.line for one in table.rejects] == [5, 6, 7, 8, 9]
    assert all(one.reason.startswith("malformed geometry") for one in table.rejects)


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("urn:ogc:def:crs:OGC:1.3:CRS84", ("652000", "6862000")),
        ("urn:ogc:def:crs:EPSG::2154", ("2.345811959", "48.856248141")),
        ("EPSG:2154", ("2.345811959", "48.856248141")),
    ],
)
def test_position_follows_the_reference_system_named(name: str, position: tuple[str, str], tmp_path: Path) -> None:
    table = only(tmp_path, collection({"type": "Point", "coordinates": [652000, 6862000]}, None, crs=crs(name)))
    frame = table.frame.collect()

    assert frame.select("longitude", "latitude").rows() == [position, ("", "")]
    assert frame["geometry"][0] == wkb("POINT (652000 6862000)")


def test_unknown_reference_system_gives_no_position(tmp_path: Path) -> None:
    table = only(tmp_path, collection({"type": "Point", "coordinates": [1, 2]}, crs=crs("local")))

    assert table.headers == ["n", "geometry"]
    assert "unknown" in table.facts["crs"]


def test_bare_geometry_and_features_by_line_are_read(tmp_path: Path) -> None:
    bare = only(tmp_path, b'{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}')
    lines = only(
        tmp_path, b"\n".join(json.dumps(one).encode() for one in json.loads(collection(None, None))["features"])
    )

    assert bare.frame.collect()["geometry"].to_list() == [wkb("GEOMETRYCOLLECTION (POINT (1 2))")]
    assert (lines.headers, lines.rows) == (["n", "geometry"], 2)


NUMBERS = st.floats(-1e6, 1e6)
POSITION = st.lists(NUMBERS, min_size=2, max_size=2)
LINE = st.lists(POSITION, min_size=2, max_size=4)
RING = st.lists(POSITION, min_size=3, max_size=5).map(lambda ring: [*ring, ring[0]])
PLAIN = st.one_of(
    st.tuples(st.just("Point"), POSITION),
    st.tuples(st.just("LineString"), LINE),
    st.tuples(st.just("Polygon"), st.lists(RING, max_size=2)),
    st.tuples(st.just("MultiPoint"), st.lists(POSITION, min_size=1, max_size=3)),
    st.tuples(st.just("MultiLineString"), st.lists(LINE, max_size=2)),
    st.tuples(st.just("MultiPolygon"), st.lists(st.lists(RING, min_size=1, max_size=2), max_size=2)),
).map(lambda pair: {"type": pair[0], "coordinates": pair[1]})
GEOMETRY = PLAIN | st.lists(PLAIN, max_size=3).map(lambda parts: {"type": "GeometryCollection", "geometries": parts})


@settings(max_examples=100, deadline=None)
@given(geometry=GEOMETRY)
def test_geometry_is_what_duckdb_makes_of_it(geometry: dict[str, object]) -> None:
    text = json.dumps(geometry)
    with spatial_cursor() as cursor:
        ((expected,),) = cursor.execute("select st_ashexwkb(st_geomfromgeojson(?))", [text]).fetchall()

    assert geometry_hex(parse(text)) == expected


@pytest.mark.parametrize(
    ("coordinates", "text"),
    [([1, 2, 3], "POINT Z (1 2 3)"), ([1, 2, 3, 4], "POINT ZM (1 2 3 4)")],
    ids=["height", "height and measure"],
)
def test_dimensions_of_a_position_are_kept(coordinates: list[int], text: str) -> None:
    assert geometry_hex(parse(json.dumps({"type": "Point", "coordinates": coordinates}))) == wkb(text)
