"""Whether a resource has changed since it was last taken in: what each sign proves, and what it does not.

Pure: knows neither the network nor the raw zone. The truth table is in docs/downloads.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from catalog.manifests import Checksum
from ingestion.portal import Resource

Outcome = Literal["changed", "unchanged", "unknown"]
Evidence = Literal["new", "portal_checksum", "portal_hint", "not_modified", "sha256", "members"]
CHECKSUMS = frozenset({"md5", "sha1", "sha256"})


class Held(Protocol):
    """What is known of the copy we have; a manifest of the raw zone is one."""

    @property
    def checksum(self) -> Checksum | None:
        """What the portal announced at that look."""

    @property
    def sha256(self) -> str:
        """Of the bytes we keep."""

    @property
    def sha1(self) -> str | None:
        """Of the bytes last received."""

    @property
    def size_bytes(self) -> int:
        """Of the bytes we keep."""

    @property
    def contents_sha256(self) -> str | None:
        """Of what the archive holds, if it is one."""

    @property
    def http_status(self) -> int | None:
        """Of the answer at that look."""

    @property
    def portal(self) -> Mapping[str, Any]:
        """The resource's JSON at that look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and the sign that decided it; no sign for ``unknown``."""

    outcome: Outcome
    evidence: Evidence | None = None


UNKNOWN = Verdict("unknown")


def announced_change(resource: Resource, held: Held) -> Verdict:
    """What the portal alone proves, before any request.

    Only a checksum of bytes the portal itself hosts proves that nothing changed. What its crawler saw of a remote
    file may be weeks old, whatever date stands beside it, so a hint only ever proves a change.
    """
    verdict = _by_checksum(resource, held) if resource.kind == "file" else UNKNOWN
    return verdict if verdict.outcome != "unknown" else _by_hints(resource.metadata, held)


def received_change(sha256: str, contents_sha256: str | None, held: Held) -> Verdict:
    """What the received bytes prove; a file packed anew around the same contents is no other file."""
    if sha256 == held.sha256:
        return Verdict("unchanged", "sha256")
    if contents_sha256 and contents_sha256 == held.contents_sha256:
        return Verdict("unchanged", "members")
    return Verdict("changed", "sha256")


def _by_checksum(resource: Resource, held: Held) -> Verdict:
    announced = resource.checksum
    if announced is None or announced.algorithm not in CHECKSUMS:
        return UNKNOWN
    ours = {"sha1": held.sha1, "sha256": held.sha256}.get(announced.algorithm)
    if announced.value == ours or (announced == held.checksum and _was_verified(held)):
        return Verdict("unchanged", "portal_checksum")
    was_other = (
        held.checksum is not None and held.checksum != announced and held.checksum.algorithm == announced.algorithm
    )
    return Verdict("changed", "portal_checksum") if ours or was_other else UNKNOWN


def _was_verified(held: Held) -> bool:
    """Whether the checksum announced at that look was held against the bytes: not elsewhere, nor at a 304."""
    return held.portal.get("filetype") == "file" and held.http_status != 304


def _by_hints(metadata: Mapping[str, Any], held: Held) -> Verdict:
    """Judge what the portal's crawler saw: it must have moved since our look, and to other bytes than ours."""
    now, then = _analysis(metadata), _analysis(held.portal)
    if now.sha1:
        is_other = now.sha1 != then.sha1 and held.sha1 is not None and now.sha1 != held.sha1
    else:
        is_other = now.size_bytes is not None and now.size_bytes not in (then.size_bytes, held.size_bytes)
    return Verdict("changed", "portal_hint") if is_other else UNKNOWN


@dataclass(frozen=True, slots=True)
class _Analysis:
    """The bytes the portal's crawler last took in, at a time of its own."""

    sha1: str | None
    size_bytes: int | None


def _analysis(metadata: Mapping[str, Any]) -> _Analysis:
    extras = metadata.get("extras")
    extras = extras if isinstance(extras, Mapping) else {}
    digest, size = extras.get("analysis:checksum"), extras.get("analysis:content-length")
    is_sha1 = isinstance(digest, str) and re.fullmatch(r"[0-9a-fA-F]{40}", digest)
    is_size = isinstance(size, int) and not isinstance(size, bool)
    return _Analysis(str(digest).lower() if is_sha1 else None, size if is_size else None)
