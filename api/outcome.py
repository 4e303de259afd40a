"""What a request came to: watched once, by the outermost of what stands around the routes, and read by the others."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.types import Message, Scope, Send

KEY = "odh.outcome"


@dataclass(slots=True)
class Outcome:
    """The status of an answer, and how long it took so far; a status of 0 is of a client who left before it."""

    status: int = 0
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.perf_counter() - self.began


def watched(scope: Scope, send: Send) -> tuple[Outcome, Send]:
    """The outcome of a request, and a way to send that notes it."""
    outcome = scope[KEY] = Outcome()

    async def watch(message: Message) -> None:
        if message["type"] == "http.response.start":
            outcome.status = int(message["status"])
        await send(message)

    return outcome, watch


def outcome_of(scope: Scope) -> Outcome:
    """The outcome of a request that is being watched."""
    found: Outcome = scope[KEY]
    return found
