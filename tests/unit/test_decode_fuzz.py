"""Bytes that were a file of some kind, then flipped, cut, mixed: each becomes tables that can be read, or a refusal.

`ODH_FUZZ_ROUNDS=5000 pytest tests/unit/test_decode_fuzz.py` tries more.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode import DecodedTable, RefusedMember, decode
from ingestion.decode.geometry import spatial_cursor

ROUNDS = int(os.environ.get("ODH_FUZZ_ROUNDS", "40"))
CSV = 'code;nom;prix\n01;Éragny;1,5\n2A;"a\nb";\n;;-3\n'.encode()
TABLE = pa.table({"a": ["x", None, "é"], "n": [1.5, 2.0, None], "l": [[1], None, []]})


def columnar(write: Callable[..., object]) -> bytes:
    buffer = io.BytesIO()
    write(TABLE, buffer)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(content)
    return bytes(buffer.getvalue())


GEOJSON = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {"a": 1}, "geometry": {"type": "Point", "coordinates": [1, 2]}},
            {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}},
        ],
    }
).encode()
SAMPLES = {
    "csv": CSV,
    "utf-16": CSV.decode().encode("utf-16"),
    "cp1252": CSV.decode().encode("cp1252"),
    "json": b'{"n":2,"rows":[{"a":1,"b":{"c":[1,null]}},{"a":"x"}]}',
    "ndjson": b'{"a":1}\n{"a":"\xc3\xa9"}\n',
    "geojson": GEOJSON,
    "xml": b"<?xml version='1.0'?><l><p id='1'><prix v='1.5'/></p><p id='2'><prix v='2'/><prix v='3'/></p></l>",
    "parquet": columnar(pq.write_table),
    "arrow": columnar(lambda table, file: pa.feather.write_feather(table, file, compression="uncompressed")),
    "orc": columnar(pa.orc.write_table),
    "gzip": gzip.compress(CSV),
    "bz2": bz2.compress(CSV),
    "xz": lzma.compress(CSV),
    "zstd": zstd(CSV),
    "zip": zipped({"a.csv": CSV, "b/in.zip": zipped({"c.json": b'[{"a":1}]'}), "d.csv.gz": gzip.compress(CSV)}),
    "tar": tarred({"a.csv": CSV, "b.json": b'[{"a":1}]'}),
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts of a small shapefile, and a GeoPackage."""
    folder = tmp_path_factory.mktemp("made")
    select = "select 'é' as nom, i as n, date '2024-01-02' as d, st_geomfromtext(?) as g from range(3) as t (i)"
    with spatial_cursor() as cursor:
        for name, driver in (("z.shp", "ESRI Shapefile"), ("z.gpkg", "GPKG")):
            options = f"format gdal, driver '{driver}', srs 'EPSG:2154'"
            cursor.execute(f"copy ({select}) to '{folder / name}' ({options})", ["POLYGON ((0 0, 0 1, 1 1, 0 0))"])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check(folder: Path, content: bytes) -> None:
    """Decode, and hold each table to what it says of itself, each refusal to having been foreseen."""
    source, scratch = folder / "source", folder / "scratch"
    source.write_bytes(content)
    reasons = []
    try:
        for one in decode(source, file_name="file", declared_format=None, scratch=scratch):
            if isinstance(one, RefusedMember):
                reasons.append(one.reason)
            else:
                check_table(one)
    except Refused as refusal:
        reasons.append(str(refusal))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    assert all(reason and "Report it" not in reason for reason in reasons), reasons


def check_table(table: DecodedTable) -> None:
    frame = table.frame.collect()
    assert frame.height == table.rows
    assert frame.columns == [*table.columns, "_source_line"]
    assert frame.null_count().sum_horizontal().sum() == 0
    assert len(table.headers) == len(table.columns) == len(set(table.columns))


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Hurt a file as transport, a bad writer or an enemy would."""
    hurt = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(hurt) + 1)
        match chance.randrange(7):
            case 0 if hurt:
                hurt[at % len(hurt)] ^= 1 << chance.randrange(8)
            case 1 if hurt:
                hurt[at % len(hurt)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x0A, 0x3B))
            case 2:
                del hurt[at : at + chance.choice((1, 4, 40))]
            case 3:
                hurt[at:at] = chance.randbytes(chance.choice((1, 4, 40)))
            case 4:
                hurt[at:at] = bytes(chance.choice((1, 8)))
            case 5:
                hurt[at:at] = chance.choice((b'"', b"\r", b"\n;", b"\xef\xbb\xbf", b"[", b"{", b"\xe9"))
            case _:
                hurt = hurt[:at] if chance.random() < 0.3 else hurt
    return bytes(hurt)


@pytest.mark.parametrize("kind", SAMPLES)
def test_hurt_file_becomes_tables_or_a_refusal(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    check(tmp_path, SAMPLES[kind])
    for _ in range(ROUNDS):
        check(tmp_path, mutate(SAMPLES[kind], chance))


def test_head_of_one_kind_before_another_becomes_tables_or_a_refusal(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(ROUNDS):
        head, tail = chance.choices(list(SAMPLES.values()), k=2)
        check(tmp_path, head[: chance.choice((4, 8, 64, 300))] + tail[chance.choice((0, 4, 64)) :])


def test_hurt_shapefile_becomes_a_table_or_a_refusal(maps: dict[str, bytes], tmp_path: Path) -> None:
    chance = random.Random(3)
    for _ in range(ROUNDS):
        name = chance.choice(sorted(name for name in maps if name != "z.gpkg"))
        check(tmp_path, zipped({**maps, "z.gpkg": b"", name: mutate(maps[name], chance)}))
        check(tmp_path, mutate(maps["z.dbf"], chance))


def test_hurt_geopackage_becomes_a_table_or_a_refusal(maps: dict[str, bytes], tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(ROUNDS):
        check(tmp_path, mutate(maps["z.gpkg"], chance))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(st.sampled_from([piece for sample in SAMPLES.values() for piece in (sample[:8], sample)])))
def test_pieces_of_files_become_tables_or_a_refusal(content: list[bytes], tmp_path: Path) -> None:
    check(tmp_path, b"".join(content))
