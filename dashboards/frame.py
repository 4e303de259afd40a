"""The frame of every page: its language, its gateway, what is said when there is none, and how it comes back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboards import markup
from dashboards.figures import Figure
from dashboards.gateway import Gateway, GatewayAway, GatewayRefused, Json
from dashboards.texts import LANGUAGES, Texts

GATEWAY, KEY = "DASHBOARD_GATEWAY", "ODH_API_KEY"  # variables the command sets, and people do
DEFAULT_URL = "http://127.0.0.1:8000"
REMEMBERED_SECONDS = 10
RETRY_SECONDS, REFRESH_SECONDS = 5, 60


@dataclass(frozen=True)
class Context:
    """What a page draws with."""

    texts: Texts
    url: str
    now: datetime

    def get(self, path: str, **parameters: Any) -> Json:
        """One answer of the gateway, at most some seconds old; raises as ``Gateway.get``."""
        return _get(self.url, path, tuple(sorted(parameters.items())))

    def rows(self, path: str, **parameters: Any) -> list[Json]:
        """Rows of a table; raises as ``Gateway.get``."""
        return _table_rows(self.url, path, tuple(sorted(parameters.items())))

    def sql(self, statement: str, most: int = 1000) -> Json:
        """The answer to a statement; raises as ``Gateway.get``."""
        return _sql(self.url, statement, most)

    def chart(self, chart: Figure, title: str, rows: list[Json], columns: Mapping[str, str]) -> None:
        """A chart, with the same as a table for those who read rather than look.

        Args:
            columns: what the table shows of each row, by name, with a heading.
        """
        self.draw(chart)
        with st.expander(self.texts("as_table", title=title)):
            shown = [[row.get(name) for name in columns] for row in rows[: markup.MOST_ROWS]]
            st.html(markup.table(list(columns.values()), shown, title, self.texts))
            if len(rows) > len(shown):
                st.caption(self.texts("more_rows", count=len(rows) - len(shown)))

    def draw(self, chart: Figure) -> None:
        """A chart alone, with numbers and days in the page's language; a screen reader says its description."""
        st.altair_chart(chart.configure(locale=self.texts.locale) if self.texts.locale else chart, width="stretch")


Draw = Callable[[Context], None]


def gateway_url() -> str:
    """Address of the gateway."""
    return os.environ.get(GATEWAY, DEFAULT_URL)


def show(title: str, draw: Draw, is_live: bool = False) -> None:
    """Draw a page; one whose gateway is away says so and tries again by itself until it is there.

    Args:
        title: key of the page's title.
        draw: what draws it.
        is_live: whether it draws itself anew every minute.
    """
    texts = Texts(st.session_state.get("language", "en"))
    st.html(markup.style())
    st.html(markup.spoken(texts.language), unsafe_allow_javascript=True)
    is_away = st.session_state.get("is_away", False)
    every = RETRY_SECONDS if is_away else REFRESH_SECONDS if is_live else None

    @st.fragment(run_every=every)
    def page() -> None:
        context = Context(texts, gateway_url(), datetime.now(UTC))
        st.title(texts(title), anchor=False)
        try:
            with st.spinner(texts("loading")):
                draw(context)
        except GatewayAway as error:
            _say_away(context, str(error))
            _turn(True)
        except GatewayRefused as error:
            _say_refused(context, error)
            _turn(False)
        else:
            _turn(False)

    page()


def choose_language() -> None:
    """The switch between the languages; the address keeps the choice."""
    given = st.query_params.get("lang", "en")
    if "language" not in st.session_state:
        st.session_state["language"] = given if given in LANGUAGES else "en"
    st.sidebar.radio(
        "Language · Langue",
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key="language",
        horizontal=True,
        on_change=lambda: st.query_params.update(lang=st.session_state["language"]),
    )


def _turn(is_away: bool) -> None:
    """Note whether the gateway is away; a page that learns it is drawn again, at its new pace."""
    if st.session_state.get("is_away", False) != is_away:
        st.session_state["is_away"] = is_away
        st.rerun()


def _say_away(context: Context, reason: str) -> None:
    texts = context.texts
    st.error(texts("away.title", url=context.url), icon=":material/cloud_off:")
    st.markdown(texts("away.todo", seconds=RETRY_SECONDS))
    st.code("odh serve", language="bash")
    st.caption(texts("away.reason", reason=reason))


def _say_refused(context: Context, error: GatewayRefused) -> None:
    key = {401: "refused.key", 403: "refused.scope", 404: "refused.missing"}.get(error.status, "refused.other")
    st.error(context.texts(key), icon=":material/lock:")
    st.markdown(context.texts("refused.said", status=str(error.status)))
    st.code(error.detail, language=None, wrap_lines=True)


@st.cache_resource
def _gateway(url: str, key: str | None) -> Gateway:
    return Gateway(url, key)


@st.cache_data(ttl=REMEMBERED_SECONDS, max_entries=200, show_spinner=False)
def _get(url: str, path: str, parameters: tuple[tuple[str, Any], ...]) -> Json:
    return _gateway(url, os.environ.get(KEY)).get(path, dict(parameters))


@st.cache_data(ttl=REMEMBERED_SECONDS * 6, max_entries=50, show_spinner=False)
def _table_rows(url: str, path: str, parameters: tuple[tuple[str, Any], ...]) -> list[Json]:
    return _gateway(url, os.environ.get(KEY)).rows(path, dict(parameters))


@st.cache_data(ttl=REMEMBERED_SECONDS * 6, max_entries=50, show_spinner=False)
def _sql(url: str, statement: str, most: int) -> Json:
    return _gateway(url, os.environ.get(KEY)).sql(statement, most)
