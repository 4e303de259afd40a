"""One dbt project out of two folders, by links: the models people write, and those generated in the lake."""

from __future__ import annotations

import shutil
from pathlib import Path

GENERATED = "generated"  # named in the project's `model-paths`
NOT_CODE = {"target", "logs", GENERATED}


def link_project(project: Path, generated: Path, folder: Path) -> None:
    """Make a folder be a dbt project and its generated models.

    A model's path must be one within the project: dbt writes the compiled SQL under that path below its target, and so
    over the model itself where the path is absolute.

    Raises:
        OSError: the project is not there, or the folder cannot be written to.
    """
    wanted = {path.name: path for path in project.iterdir() if path.name not in NOT_CODE and path.name[0] != "."}
    generated.mkdir(parents=True, exist_ok=True)
    wanted[GENERATED] = generated
    folder.mkdir(parents=True, exist_ok=True)
    for path in list(folder.iterdir()):
        if path.is_symlink() and wanted.get(path.name) == path.readlink():
            del wanted[path.name]
        elif path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)  # what dbt leaves behind when a person runs it there
    for name, path in wanted.items():
        (folder / name).symlink_to(path)
