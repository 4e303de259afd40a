"""The ``odh`` command: it only assembles the components' sub-commands."""

from catalog.cli import app

__all__ = ["app"]

if __name__ == "__main__":
    app()
