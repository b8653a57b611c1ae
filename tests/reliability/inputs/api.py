"""Requests to the web API, of which each is wrong, odd or hostile in one way."""

import numpy as np

from tests.reliability.inputs.pictures import CONTENTS, DISC, encode
from tests.reliability.wire import BOUNDARY, PATH, Request, form, head, part

GOOD_PICTURE = encode(DISC)
MASK = f"{PATH}?form=mask"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def file(kind: str) -> Request:
    """A form with one file of `inputs.pictures.CONTENTS`."""
    return form(part(CONTENTS[kind]()), path=MASK)


def zeros(count: int) -> Request:
    """A picture's first bytes, then so many zeros."""
    return form(part(b"\x89PNG\r\n\x1a\n" + bytes(count)))


def chunks_without_end(count: int) -> Request:
    """A form of unknown length in pieces of 10 kB."""
    begin = head("POST", PATH, Content_Type=FORM, Transfer_Encoding="chunked")
    pieces = [part(b"")[:-2], *[bytes(10_000)] * count]
    return Request((begin, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)))


def named(name: str) -> Request:
    """A good picture under a name, in which escapes stand for bytes."""
    return form(part(GOOD_PICTURE, name=name.encode("latin-1").decode("unicode_escape").encode("latin-1")), path=MASK)


def long_name(length: int) -> Request:
    """A good picture under a name of so many characters."""
    return form(part(GOOD_PICTURE, name=b"a" * length + b".png"), path=MASK)


def query(text: str) -> Request:
    """A good picture with a query."""
    return form(part(GOOD_PICTURE), path=f"{PATH}?{text}")


def get(path: str) -> Request:
    """Any path, written as it is."""
    return Request((head("GET", path),))


def method(name: str) -> Request:
    """Another method on the path of pictures."""
    return Request((head(name, PATH),))


def fields(*names: str) -> Request:
    """A form with a good picture in each of some fields."""
    return form(*(part(GOOD_PICTURE, field=name) for name in names))


def text_field(field: str) -> Request:
    """A good picture and a field of text; with `image`, the text alone."""
    files = [] if field == "image" else [part(GOOD_PICTURE)]
    return form(*files, part(b"0.4", field=field, name=None))


def kind(content_type: str) -> Request:
    """A form with a text under another content type."""
    return form(part(b"+2AA-", name=None), kind=content_type)


def no_body() -> Request:
    """A request that has nothing but its head."""
    return Request((head("POST", PATH, Content_Length=0),))


def length(value: str) -> Request:
    """A good form whose length is said to be another."""
    begun, body = form(part(GOOD_PICTURE)).pieces
    return Request((begun.replace(f"Content-Length: {len(body)}".encode(), f"Content-Length: {value}".encode()), body))


def slow_body() -> Request:
    """A form of which a byte arrives every 50 ms."""
    begun, body = form(part(GOOD_PICTURE)).pieces
    return Request((begun, *(body[place : place + 1] for place in range(25))), pause=0.05)


def slow_head() -> Request:
    """A head of which a byte arrives every 50 ms."""
    begun = form(part(GOOD_PICTURE)).pieces[0]
    return Request(tuple(begun[place : place + 1] for place in range(25)), pause=0.05)


def silence() -> Request:
    """A client that connects and says nothing."""
    return Request((b"",), pause=0.01)


def gone_midway() -> Request:
    """A client that leaves when half of the picture is sent."""
    begun, body = form(part(GOOD_PICTURE)).pieces
    return Request((begun, body[: len(body) // 2]), leaves=True)


def gone_before_the_answer() -> Request:
    """A client that sends all and does not wait."""
    return Request(form(part(GOOD_PICTURE)).pieces, leaves=True)


def long_head() -> Request:
    """A header that goes on beyond 64 KiB."""
    return Request((head("GET", "/health", X_Long="a" * 65_000)[:-4], b"a" * 1000), pause=0.1)


def many_headers() -> Request:
    """Headers that go on beyond 64 KiB."""
    return Request(
        (head("GET", "/health", **{f"X_{number}": "a" for number in range(6300)})[:-2], b"X: a\r\n" * 300), pause=0.1
    )


def many_files(count: int) -> Request:
    """A form with so many files of one byte."""
    return form(*[part(b"a", field="other")] * count)


def cut_form() -> Request:
    """A form whose end is missing."""
    body = part(GOOD_PICTURE)[:-100]
    return Request((head("POST", PATH, Content_Type=FORM, Content_Length=len(body)), body))


def raw(text: str) -> Request:
    """Anything, in which escapes stand for bytes."""
    return Request((text.encode("latin-1").decode("unicode_escape").encode("latin-1"),))


def noise(count: int) -> Request:
    """Random bytes that end like a head."""
    return Request((np.random.default_rng(9).bytes(count) + b"\r\n\r\n",))
