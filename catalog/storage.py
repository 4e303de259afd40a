"""Local folders and S3 behind one interface; the only module that knows the object store's options."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from catalog.settings import Settings


def s3_options(settings: Settings) -> dict[str, Any]:
    """Arguments of s3fs for the configured endpoint and keys."""
    secret = settings.s3_secret_access_key
    return {
        "key": settings.s3_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "client_kwargs": {"endpoint_url": settings.s3_endpoint, "region_name": settings.s3_region},
        "config_kwargs": {"request_checksum_calculation": "when_required"},
        "use_listings_cache": False,  # other processes write too: a listing is never remembered
    }


class Store:
    """Files under one root, addressed by keys relative to it. A key is written once, whole or not at all."""

    def __init__(self, root: str, settings: Settings) -> None:
        self.root = root
        self.is_remote = "://" in root
        options = s3_options(settings) if root.startswith("s3://") else {}
        self._files = fsspec.filesystem(root.partition("://")[0] if self.is_remote else "file", **options)

    def url(self, key: str) -> str:
        """Full path or URL of a key."""
        return f"{self.root}/{key}"

    def exists(self, key: str) -> bool:
        """Whether the key holds a finished file."""
        return bool(self._files.exists(self.url(key)))

    def put_file(self, local: Path, key: str) -> None:
        """Move a finished local file to its key; readers see all of it or nothing. The local file is gone."""
        if self.is_remote:
            self._files.put_file(str(local), self.url(key))
            local.unlink()
            return
        target = Path(self.url(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        with local.open("rb") as stream:
            os.fsync(stream.fileno())
        if local.stat().st_dev == target.parent.stat().st_dev:
            local.replace(target)
        else:
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            self._files.get_file(str(local), str(part))
            part.replace(target)
            local.unlink()

    def put_bytes(self, content: bytes, key: str) -> None:
        """Write a small file whole."""
        if self.is_remote:
            self._files.pipe_file(self.url(key), content)
            return
        target = Path(self.url(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)

    def open(self, key: str, part_bytes: int | None = None) -> BinaryIO:
        """Open a key for reading.

        Args:
            part_bytes: how much of it is wanted, where not all is: an object store is asked for no more at a time.
        """
        bounds = {"block_size": part_bytes} if part_bytes and self.is_remote else {}
        return cast(BinaryIO, self._files.open(self.url(key), "rb", **bounds))

    def size(self, key: str) -> int:
        """Size of a file in bytes."""
        return int(self._files.size(self.url(key)))

    def read_bytes(self, key: str) -> bytes:
        """Read a small file whole."""
        return cast(bytes, self._files.cat_file(self.url(key)))

    def local_copy(self, key: str, scratch: Path) -> Path:
        """Path of a local file with the key's bytes: the file itself, or a copy under ``scratch``."""
        if not self.is_remote:
            return Path(self.url(key))
        copy = scratch / key
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            part = copy.with_name(f".{copy.name}.{os.getpid()}.part")  # a copy cut short must not pass for the file
            self._files.get_file(self.url(key), str(part))
            part.replace(copy)
        return copy

    def keys(self, prefix: str = "") -> list[str]:
        """Keys under a prefix, sorted; hidden and unfinished files left out."""
        top = self.url(prefix) if prefix else self.root
        if not self._files.exists(top):
            return []
        bare = self._files._strip_protocol(self.root)
        found = (str(path).removeprefix(bare).lstrip("/") for path in self._files.find(top))
        return sorted(key for key in found if not key.rpartition("/")[2].startswith("."))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Size in bytes of every file under a prefix by key, hidden and unfinished ones too."""
        top = self.url(prefix)
        if not self._files.exists(top):
            return {}
        bare = self._files._strip_protocol(self.root)
        found = self._files.find(top, detail=True)
        return {str(path).removeprefix(bare).lstrip("/"): int(facts["size"] or 0) for path, facts in found.items()}

    def delete(self, key: str) -> None:
        """Remove a file for good; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self.url(key))

    def children(self, prefix: str = "") -> list[str]:
        """Names directly under a prefix, files and folders, sorted; hidden ones left out."""
        top = self.url(prefix) if prefix else self.root
        if not self._files.exists(top):
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in self._files.ls(top, detail=False))
        return sorted(name for name in names if name and not name.startswith("."))


def raw_store(settings: Settings) -> Store:
    """The raw zone."""
    return Store(settings.raw_root, settings)


def warehouse_store(settings: Settings) -> Store:
    """The folder of Iceberg data files."""
    return Store(settings.warehouse_root, settings)
