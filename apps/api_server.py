"""The server under the web API: it speaks plain HTTP/1.1 and waits for no client longer than is allowed."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from fastapi import FastAPI


class TimedProtocol(H11Protocol):
    """A connection that is cut where its client lets `seconds` go by between requests.

    That covers a client that connects and says nothing, or its headers byte by byte, one that goes on sending after
    its answer, and one that never takes the answer. While a request is in work, the API itself looks at the clock.
    """

    def __init__(self, *args: Any, seconds: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seconds = seconds
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Begin to wait for the client to take the answer, and for its next request."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        if self._patience:
            self._patience.cancel()

    def _wait(self) -> None:
        if self._patience:
            self._patience.cancel()
        self._patience = self.loop.call_later(self.seconds, self._cut)

    def _cut(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def build_server(app: "FastAPI", seconds: float) -> uvicorn.Server:
    """A server whose clients have `seconds` for each thing that they do.

    h11 bounds the headers of a request, which httptools, uvicorn's own choice where it is installed, does not.
    """
    protocol: Any = partial(TimedProtocol, seconds=seconds)
    return uvicorn.Server(
        uvicorn.Config(app, http=protocol, ws="none", log_config=None, access_log=False, server_header=False)
    )
