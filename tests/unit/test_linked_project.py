"""The folder dbt works in: the project and the generated models, by links that follow both."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.linked_project import link_project


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A project, the generated models, and where they are linked."""
    project, generated = tmp_path / "project", tmp_path / "lake/models"
    for name in ("models", "macros", "target", "logs", "generated", ".hidden"):
        (project / name).mkdir(parents=True)
    (project / "dbt_project.yml").touch()
    return project, generated, tmp_path / "lake/build/project"


def links(folder: Path) -> dict[str, Path]:
    return {link.name: link.readlink() for link in folder.iterdir()}


def test_the_project_and_the_generated_models_are_one(folders: tuple[Path, Path, Path]) -> None:
    project, generated, linked = folders
    link_project(*folders)
    code = ("models", "macros", "dbt_project.yml")
    assert links(linked) == {**{name: project / name for name in code}, "generated": generated}
    (generated / "stg_a__b.sql").write_text("select 1")
    assert (linked / "generated/stg_a__b.sql").read_text() == "select 1"


def test_links_follow_what_comes_goes_and_moves(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    project, generated, linked = folders
    link_project(*folders)
    kept = (linked / "models").lstat().st_ino
    (project / "macros").rmdir()
    (project / "seeds").mkdir()
    link_project(*folders)
    assert links(linked).keys() == {"models", "seeds", "dbt_project.yml", "generated"}
    assert (linked / "models").lstat().st_ino == kept
    project.rename(tmp_path / "moved")
    link_project(tmp_path / "moved", generated, linked)
    assert links(linked)["models"] == tmp_path / "moved/models"


def test_a_file_in_the_way_of_a_link_makes_room(folders: tuple[Path, Path, Path]) -> None:
    link_project(*folders)
    linked = folders[2]
    (linked / "models").unlink()
    (linked / "models").write_text("left by a person")
    (linked / "target/run").mkdir(parents=True)
    link_project(*folders)
    assert not (linked / "target").exists()
    assert links(linked)["models"] == folders[0] / "models"
