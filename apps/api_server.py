"""The server under the web API: it speaks plain HTTP/1.1 and waits for no client longer than is allowed."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import h11
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
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request, or of what follows one that was refused."""
        if not self._is_refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and go on taking in the rest: to close on it would take the answer back."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # it is being answered already
            self.transport.close()
            return
        if self.cycle:  # whoever waits for the rest of the body
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        answer = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=msg.encode("ascii")), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.write_eof()
        self._is_refused = True
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
        if self._is_refused or self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def build_server(app: "FastAPI", seconds: float) -> uvicorn.Server:
    """A server whose clients have `seconds` for each thing that they do.

    h11 bounds the headers of a request, which httptools, uvicorn's own choice where it is installed, does not.
    """
    protocol: Any = partial(TimedProtocol, seconds=seconds)
    return uvicorn.Server(
        uvicorn.Config(app, http=protocol, ws="none", log_config=None, access_log=False, server_header=False)
    )
