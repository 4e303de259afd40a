"""The dashboard's pages and their navigation; Streamlit runs this file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from dashboards.frame import choose_language, gateway_url, show
from dashboards.texts import Texts
from dashboards.views import dataset, explore, overview, quality, runs, storage

ICON = str(Path(__file__).with_name("icon.svg"))  # a named one would be fetched from elsewhere
PAGES: dict[str, tuple[Any, str, bool]] = {  # what draws it, its icon, whether it draws itself anew
    "overview": (overview.draw, ":material/space_dashboard:", True),
    "dataset": (dataset.draw, ":material/dataset:", False),
    "quality": (quality.draw, ":material/fact_check:", False),
    "runs": (runs.draw, ":material/timeline:", True),
    "storage": (storage.draw, ":material/database:", False),
    "explore": (explore.draw, ":material/map:", False),
}


def draw_page(name: str) -> None:
    """Draw one page in its frame."""
    drawer, _, is_live = PAGES[name]
    show(f"page.{name}", drawer, is_live)


def main() -> None:
    """Draw what every page has, and the page the address names."""
    choose_language()
    texts = Texts(st.session_state["language"])
    st.set_page_config(page_title="OpenDataHub SQL", page_icon=ICON, layout="wide")
    pages = []
    for name, (_, icon, _) in PAGES.items():
        draw = partial(draw_page, name)
        pages.append(st.Page(draw, title=texts(f"page.{name}"), icon=icon, url_path=name, default=name == "overview"))
    chosen = st.navigation(pages)
    st.sidebar.caption(texts("sidebar.gateway", url=gateway_url()))
    chosen.run()


if __name__ == "__main__":
    main()
