"""Requests as the bytes that go over the wire, so that they can be wrong in any way."""

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

PATH = "/api/process_image"
BOUNDARY = "x"
NO_ANSWER = 444  # in place of a status, as some servers log it
SECONDS = 30.0  # after which an answer is no longer waited for


@dataclass(frozen=True)
class Request:
    """What a client sends, piece by piece with so many seconds between, and whether it then leaves without a word."""

    pieces: tuple[bytes, ...]
    pause: float = 0.0
    leaves: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content: bytes = b""


def head(method: str = "POST", path: str = PATH, **headers: object) -> bytes:
    """The first lines of a request; an underscore in a header's name stands for a hyphen."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def part(content: bytes, field: str = "image", name: bytes | None = b"a.png") -> bytes:
    """One field of a form: a file under a name, or a text."""
    file = b"" if name is None else b'; filename="' + name + b'"'
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        BOUNDARY.encode(), field.encode(), file, content)  # fmt: skip


def form(*parts: bytes, path: str = PATH, kind: str = f"multipart/form-data; boundary={BOUNDARY}") -> Request:
    """A form that is sent as it should be."""
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return Request((head("POST", path, Content_Type=kind, Content_Length=len(body)), body))


def send(address: str, request: Request, between: Callable[[], None] = lambda: None) -> Answer:
    """Send a request and wait for the answer; `between` is called once after the first piece."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=SECONDS) as connection:
        try:
            for number, piece in enumerate(request.pieces):
                connection.sendall(piece)
                if number == 0:
                    between()
                time.sleep(request.pause)
        except OSError:  # it was answered before all was sent
            pass
        return Answer(NO_ANSWER) if request.leaves else _receive(connection)


def _receive(connection: socket.socket) -> Answer:
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        return Answer(answer.status, answer.read())
    except (OSError, http.client.HTTPException):
        return Answer(NO_ANSWER)
    finally:
        answer.close()
