"""What builds have besides SQL: SIRET numbers checked on Arrow columns, the nearest of many points."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.enrichment import install_enrichment, is_siret, nearest

TEXTS = st.none() | st.text(max_size=15) | st.text("0123456789", min_size=14, max_size=14)
POST = st.text("0123456789", min_size=5, max_size=5).map(lambda tail: f"356000000{tail}")


def fr_siret(connection: duckdb.DuckDBPyConnection, text: str | None) -> bool | None:
    found = connection.execute("select fr_siret(?) is not null and ? is not null", [text, text]).fetchone()
    return None if text is None else bool(found and found[0])


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(TEXTS | POST, max_size=20))
def test_numpy_says_what_sql_says(connection: duckdb.DuckDBPyConnection, texts: list[str | None]) -> None:
    exact = [text if text is None or (text.isascii() and text.isdigit()) else f"x{text}" for text in texts]
    assert is_siret(pa.array(exact, pa.string())).to_pylist() == [fr_siret(connection, text) for text in exact]


def test_numba_says_what_numpy_says() -> None:
    numbers = [f"{head}{tail:05d}" for head in ("356000000", "732829320") for tail in range(200)]
    column = pa.chunked_array([[*numbers, None, "", "7328293200007é", "73282932000074"], numbers[:3]])
    for part in (column, column.slice(7, 300)):
        assert is_siret(part, numba_rows=0).equals(is_siret(part))
    assert sum(is_siret(column).drop_null().to_pylist()) > 60


NEAREST = [
    ((2.36, 48.86), 0),
    ((5.3, 43.2), 1),
    ((-179.99, 0.0), 2),  # across the antimeridian
    ((30.0, 89.9), 3),  # over the pole
]


@pytest.mark.parametrize(("position", "place"), NEAREST)
def test_the_nearest_point_is_found_on_the_sphere(position: tuple[float, float], place: int) -> None:
    points = [(2.35, 48.85), (5.37, 43.29), (179.99, 0.0), (-150.0, 89.9)]
    places, metres = nearest([position[0]], [position[1]], [p[0] for p in points], [p[1] for p in points])
    assert places.tolist() == [place]
    with duckdb.connect() as connection:
        haversine = """select 2 * 6371008.8 * asin(sqrt(power(sin(radians(?2 - ?4) / 2), 2)
            + cos(radians(?4)) * cos(radians(?2)) * power(sin(radians(?1 - ?3) / 2), 2)))""".replace("?", "$")
        (expected,) = connection.execute(haversine, [*position, *points[place]]).fetchone() or (0,)
    assert metres.tolist() == pytest.approx([expected])


def test_sql_has_both_and_gives_null_for_nothing() -> None:
    with duckdb.connect() as connection:
        install_enrichment(connection)
        one = connection.execute("select odh_nearest_point([1.0, 2.0], [1.0, 2.0], null::double[], null::double[])")
        assert one.fetchall() == [([{"place": None, "distance_m": None}] * 2,)]
        none = connection.execute("select odh_nearest_point(null::double[], null::double[], [1.0], [1.0])")
        assert none.fetchall() == [([],)]
        checked = connection.execute("select odh_is_siret('73282932000074'), odh_is_siret(null)")
        assert checked.fetchall() == [(True, None)]


@pytest.mark.parametrize(
    "code",
    [
        "import odh, sys; sys.argv = ['odh', '--help']\ntry: odh.main()\nexcept SystemExit: pass",
        "from api.app import create_app; from catalog.settings import Settings; create_app(Settings())",
        "import ingestion.drain_watch",
        "import duckdb; from catalog.enrichment import install_enrichment; install_enrichment(duckdb.connect())",
    ],
    ids=["odh --help", "create_app", "drain", "a session"],
)
def test_nothing_imports_numba_or_scipy_at_its_start(code: str) -> None:
    check = f"{code}\nimport sys\nassert not {{'numba', 'scipy'}} & sys.modules.keys(), 'imported'"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_position_is_as_far_alone_as_among_others() -> None:
    east, north = ([origin + number * 0.00713 for number in range(999)] for origin in (-4.7, 42.3))
    points = [-4.6, 0.1, 2.35], [42.4, 45.2, 48.86]
    together = nearest(east, north, *points)
    for number in range(999):
        place, metres = nearest([east[number]], [north[number]], *points)
        assert (place[0], metres[0]) == (together[0][number], together[1][number])
