"""Each page of the dashboard over a real gateway on a real lake: full, empty, refused, away and back again."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import streamlit as st
from api_lake import LakeWriter, serving
from streamlit.testing.v1 import AppTest
from watched_lake import write_watched_lake

from dashboards.app import PAGES
from dashboards.frame import GATEWAY
from dashboards.texts import Texts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Streamlit's own
ENGLISH, FRENCH = Texts("en"), Texts("fr")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    return write_watched_lake(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def gateway(lake: LakeWriter) -> Iterator[str]:
    with serving(lake.settings) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(LakeWriter(tmp_path_factory.mktemp("empty")).settings) as client:
        yield str(client.base_url)


@pytest.fixture(autouse=True)
def _main_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit puts each page in the place of the main module, which processes of later tests would start from."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def one_page(name: str) -> None:
    from dashboards.app import draw_page

    draw_page(name)


def opened(monkeypatch: pytest.MonkeyPatch, url: str, page: str, language: str = "en", **parameters: str) -> AppTest:
    """One page as a browser would get it."""
    st.cache_data.clear()
    monkeypatch.setenv(GATEWAY, url)
    app = AppTest.from_function(one_page, default_timeout=60, args=(page,))
    app.session_state["language"] = language
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def said(app: AppTest) -> str:
    """All the words of a page."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "success", "warning", "error", "code")
    words = [str(element.value) for kind in kinds for element in getattr(app, kind)]
    return "\n".join([*words, *(element.proto.body for element in app.get("html"))])


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_in_both_languages(
    monkeypatch: pytest.MonkeyPatch, gateway: str, page: str, language: str
) -> None:
    app = opened(monkeypatch, gateway, page, language)
    assert app.title[0].value == Texts(language)(f"page.{page}")
    assert not app.error, said(app)


def test_the_overview_shows_what_is_wrong_first(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    words = said(opened(monkeypatch, gateway, "overview"))
    assert "25 row(s) rejected" in words
    assert "n° 2" in words
    assert words.index("accidents") < words.index("jours_feries")


def test_the_dataset_page_shows_the_feed_of_the_address(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    app = opened(monkeypatch, gateway, "dataset", feed="irve")
    assert app.selectbox(key="feed").value == "irve"
    assert "Infrastructures de recharge" in said(app)
    app.selectbox(key="feed").select("accidents").run()
    words = said(app)
    assert "3 fields, 18 expected" in words
    assert "vma" in words
    assert ENGLISH("lineage.title", feed="accidents", count=0)[:20] in words


def test_rejects_are_shown_page_by_page(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    monkeypatch.setattr("dashboards.views.dataset.REJECTS_SHOWN", 30)
    app = opened(monkeypatch, gateway, "dataset", feed="accidents")
    assert "a;b;2<" in said(app)
    app.number_input(key="reject_page").set_value(2).run()
    assert not app.exception
    assert "a;b;26<" in said(app)


def test_rejects_of_a_restricted_feed_say_why_they_are_not_there(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    app = opened(monkeypatch, gateway, "dataset", feed="people")
    assert ENGLISH("dataset.restricted") in said(app)
    assert "restricted feed" in app.warning[0].value


def test_runs_tell_the_error_and_the_share_that_succeeded(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    words = said(opened(monkeypatch, gateway, "runs"))
    assert "The portal gave no usable answer." in words
    assert "83 %" in words


def test_runs_tell_the_try_and_link_to_the_task(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    words = said(opened(monkeypatch, gateway, "runs"))
    link = 'href="http://127.0.0.1:8080/dags/sync_feeds/runs/r1"'
    assert words.count(link) == 2, "beside its error, and in the table"
    headings = [ENGLISH(f"word.{name}") for name in ("release", "try", "task")]
    assert [words.index(f">{heading}</th>") for heading in headings] == sorted(
        words.index(f">{heading}</th>") for heading in headings
    )
    assert '<td class="n">2</td>' in words


def test_explore_draws_every_measure(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    app = opened(monkeypatch, gateway, "explore")
    for measure in app.selectbox(key="measure").options:
        app.selectbox(key="measure").select(measure).run()
        assert not app.exception
    assert "La Réunion" in said(app)


def test_explore_draws_charging_points_by_month_where_the_key_may_run_sql(
    monkeypatch: pytest.MonkeyPatch, lake: LakeWriter, gateway: str
) -> None:
    assert ENGLISH("explore.commissioned") in said(opened(monkeypatch, gateway, "explore"))
    with serving(lake.settings.model_copy(update={"api_access": "keys", "api_public": "curated:read"})) as client:
        app = opened(monkeypatch, str(client.base_url), "explore")
        assert ENGLISH("explore.classes") in said(app)
        assert ENGLISH("explore.commissioned") not in said(app)


def test_a_statement_is_run_by_the_gateway_and_its_refusal_shown(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    app = opened(monkeypatch, gateway, "explore")
    box = app.text_area(key="statement_example.accidents")
    box.set_value("select count(*) as accidents from gold.fct_accident")
    app.button(key="run_sql").click().run()
    assert '<td class="n">101</td>' in said(app)
    box = app.text_area(key="statement_example.accidents")
    box.set_value("drop table gold.fct_accident")
    app.button(key="run_sql").click().run()
    assert app.error[0].value == ENGLISH("sql.refused")
    assert "One SELECT that reads is run here" in said(app)


@pytest.mark.parametrize("page", [name for name in PAGES if name != "explore"])
def test_an_empty_lake_says_what_fills_it(monkeypatch: pytest.MonkeyPatch, empty: str, page: str) -> None:
    app = opened(monkeypatch, empty, page)
    assert app.info, said(app)
    assert any(element.value.startswith("odh ") for element in app.code)


def test_explore_without_a_release_says_what_builds_one(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    assert ENGLISH("explore.missing") in said(opened(monkeypatch, empty, "explore"))


@pytest.mark.parametrize("page", PAGES)
def test_a_gateway_that_is_away_is_told_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, gateway: str, page: str
) -> None:
    app = opened(monkeypatch, "http://127.0.0.1:9", page, "fr")
    assert app.error[0].value == FRENCH("away.title", url="http://127.0.0.1:9")
    assert app.session_state["is_away"]
    monkeypatch.setenv(GATEWAY, gateway)
    app.run()
    assert not app.exception
    assert not app.error, said(app)
    assert not app.session_state["is_away"]


def test_a_gateway_that_wants_a_key_says_which(monkeypatch: pytest.MonkeyPatch, lake: LakeWriter) -> None:
    with serving(lake.settings.model_copy(update={"api_access": "keys"})) as client:
        app = opened(monkeypatch, str(client.base_url), "overview")
        assert app.error[0].value == ENGLISH("refused.key")
        assert "admin:read" in said(app)


def test_a_server_that_is_no_gateway_is_told(monkeypatch: pytest.MonkeyPatch, sample_url: str) -> None:
    app = opened(monkeypatch, sample_url, "overview")
    assert app.error
