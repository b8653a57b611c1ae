"""The web API: a picture comes in, its overlay, its mask or a description goes out; one thread predicts."""

import asyncio
import base64
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from yacs.config import CfgNode

from apps.pictures import kind_of
from apps.segmenter import MEGA, Segmentation, Segmenter
from config import ConfigError
from utils.messages import one_line

if TYPE_CHECKING:
    from fastapi import FastAPI

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
CHARSET = re.compile(rb";\s*charset\s*=(?!\s*\"?utf-?8\b)", re.IGNORECASE)  # of a form, other than what all send
KNOWN = {"query": ("form", "threshold"), "body": ("image",)}
MOST_SHOWN = 100  # characters of a name that a client made up
PRIVATE = ("config", "validation_ids")  # of a card: may name folders and patients
PROBLEMS = {
    400: "The picture is damaged or does not fit the network.",
    408: "The request took too long to arrive.",
    413: "The request or the picture is too large.",
    415: "The file is no picture of a known kind.",
    429: "Too many requests are in work; try again later.",
}
_CLASS = {"index": "integer", "name": "string", "threshold": "number", "pixels": "integer"}
DESCRIPTION = {
    "type": "object",
    "properties": {
        "rows": {"type": "integer"},
        "columns": {"type": "integer"},
        "classes": {
            "type": "array",
            "items": {"type": "object", "properties": {name: {"type": kind} for name, kind in _CLASS.items()}},
        },
        "mask_png": {"type": "string", "format": "byte"},
    },
    "required": ["rows", "columns", "classes", "mask_png"],
}


class Gate:
    """Lets so many requests with a body in at once, each of limited size and time; the others are answered at once.

    It stands before the body is read, so that neither memory nor disk fills with what waits.
    """

    def __init__(self, app: App, places: int, most_bytes: int, seconds: float):
        self.app = app
        self.places = places
        self.most_bytes = most_bytes
        self.seconds = seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.most_bytes:
            return await _refuse(413, scope, receive, send)
        if CHARSET.search(headers.get(b"content-type", b"")):  # Python's decoders of some take minutes for a megabyte
            return await _refuse(415, scope, receive, send, "The form states a charset; send it without.")
        state = scope["app"].state
        if state.in_work >= self.places:
            return await _refuse(429, scope, receive, send)
        state.in_work += 1
        try:
            await self.app(scope, self._limited(receive), send)
        finally:
            state.in_work -= 1

    def _limited(self, receive: Receive) -> Receive:
        """The body of a request until it becomes too long or takes too much time."""
        from fastapi import HTTPException

        deadline, total, more = asyncio.get_running_loop().time() + self.seconds, 0, True

        async def receive_limited() -> Message:
            nonlocal total, more
            try:
                async with asyncio.timeout_at(deadline if more else None):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, PROBLEMS[408]) from None
            total, more = total + len(message.get("body", b"")), message.get("more_body", False)
            if total > self.most_bytes:
                raise HTTPException(413, PROBLEMS[413])
            return message

        return receive_limited


async def _refuse(status: int, scope: MutableMapping[str, Any], receive: Receive, send: Send, detail: str = "") -> None:
    from fastapi.responses import JSONResponse

    headers = {"Retry-After": "1"} if status == 429 else None
    await JSONResponse({"detail": detail or PROBLEMS[status]}, status, headers)(scope, receive, send)


@dataclass(frozen=True)
class Answer:
    """What is sent back: its bytes and their type."""

    content: bytes
    media_type: str


def overlay_of(found: Segmentation, threshold: float | None, folder: Path) -> Answer:
    """The overlay as PNG, at the size of the picture."""
    from data.patches.tiles import save_image

    save_image(folder / "overlay.png", found.overlay(threshold))
    return Answer((folder / "overlay.png").read_bytes(), "image/png")


def mask_of(found: Segmentation, threshold: float | None, folder: Path) -> Answer:
    """The mask as PNG whose values are class indices, at the size of the picture."""
    return Answer(_mask_png(found.mask(threshold), folder), "image/png")


def description_of(found: Segmentation, threshold: float | None, folder: Path) -> Answer:
    """Size, threshold, pixels of each class, and the mask as PNG in base 64."""
    from data.stitching.mask import by_class

    mask = found.mask(threshold)
    counts = np.bincount(mask.ravel(), minlength=len(found.classes) + 1)
    used = by_class(found.rule.threshold if threshold is None else threshold, len(found.classes))
    classes = [
        {"index": index, "name": name, "threshold": used[index - 1], "pixels": int(counts[index])}
        for index, name in enumerate(found.classes, start=1)
    ]
    rows, columns = found.shape
    png = base64.b64encode(_mask_png(mask, folder)).decode()
    content = {"rows": rows, "columns": columns, "classes": classes, "mask_png": png}
    return Answer(json.dumps(content).encode(), "application/json")


def _mask_png(mask: np.ndarray, folder: Path) -> bytes:
    from data.patches.tiles import save_mask

    save_mask(folder / "mask.png", mask)
    return (folder / "mask.png").read_bytes()


FORMS = {"overlay": overlay_of, "mask": mask_of, "json": description_of}


def answer(segmenter: Segmenter, content: bytes, form: str, threshold: float | None) -> Answer:
    """Predict the picture in some bytes; raises HTTPException with a status of PROBLEMS where they are none of use."""
    from fastapi import HTTPException

    from data.sources.source import TooLargeError

    ending = kind_of(content)
    if ending is None:
        raise HTTPException(415, f"{PROBLEMS[415]} Send a jpg, png, bmp, tif or DICOM file.")
    with TemporaryDirectory(prefix="picture-") as folder:
        path = Path(folder) / f"picture{ending}"  # the name that the client gave is never a path
        path.write_bytes(content)
        try:
            with segmenter(path) as found:
                return FORMS[form](found, threshold, Path(folder))
        except TooLargeError as error:
            raise HTTPException(413, one_line(str(error))) from error
        except ValueError as error:
            raise HTTPException(400, one_line(str(error).replace(f"{folder}{os.sep}", ""))) from error


def describe_model(segmenter: Segmenter, serve: CfgNode) -> dict[str, Any]:
    """What the cards of the weights say, but for what could name folders or patients, and the limits of requests."""
    cards = [asdict(member.card) for member in segmenter.members]
    networks = [{name: value for name, value in card.items() if name not in PRIVATE} for card in cards]
    limits = {"megapixels": segmenter.most_px / MEGA, "megabytes": serve.MEGABYTES, "requests": serve.QUEUE}
    rule = asdict(segmenter.rule)
    return {"classes": segmenter.reader.classes, "rule": rule, "networks": networks, "limits": limits}


def build_app(cfg: CfgNode, segmenter: Segmenter) -> "FastAPI":
    """The web API of loaded networks, with the limits of SERVE; raises ConfigError where its libraries are missing."""
    try:
        import python_multipart  # noqa: F401 (FastAPI reads forms with it)
        import uvicorn  # noqa: F401 (serves it)
        from fastapi import FastAPI
    except ImportError as error:
        install = "pip install --requirement requirements-api.txt --constraint constraints.txt"
        raise ConfigError([f"the web API needs {error.name}, which is missing here: {install}"]) from error
    worker = ThreadPoolExecutor(1, "network")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.shutdown()

    about = "Segments pictures: " + ", ".join(segmenter.reader.classes)
    app = FastAPI(
        title="Segmentation",
        description=about,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_work(app, segmenter, worker)
    _add_facts(app, describe_model(segmenter, cfg.SERVE))
    most_bytes, seconds = round(cfg.SERVE.MEGABYTES * MEGA), cfg.SERVE.UPLOAD_SECONDS
    app.add_middleware(Gate, places=cfg.SERVE.QUEUE, most_bytes=most_bytes, seconds=seconds)
    return app


def _add_work(app: "FastAPI", segmenter: Segmenter, worker: ThreadPoolExecutor) -> None:
    from fastapi import File, Query, Request, Response, UploadFile
    from fastapi.exceptions import RequestValidationError

    @app.exception_handler(RequestValidationError)
    async def explain(request: Request, error: RequestValidationError) -> Response:
        """What is wrong with a request and where, without what was sent: that may be long, or no text at all."""
        detail = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()]
        return Response(json.dumps({"detail": detail}), 422, media_type="application/json")

    @app.post("/api/process_image", responses=_responses(), response_class=Response)
    async def process_image(
        request: Request,
        image: Annotated[UploadFile, File(description="jpg, png, bmp, tif or DICOM")],
        form: Annotated[Literal["overlay", "mask", "json"], Query(description="what is sent back")] = "overlay",
        threshold: Annotated[float | None, Query(gt=0, le=1, description="in place of the tuned one")] = None,
    ) -> Response:
        """Overlay or mask of a picture as PNG at its own size, or a description of it as JSON."""
        given = {"query": request.query_params, "body": await request.form()}
        names = {place: [name for name, _ in pairs.multi_items()] for place, pairs in given.items()}
        if unclear := [problem for place in names for problem in find_unclear(place, names[place])]:
            raise RequestValidationError(unclear)
        work = partial(answer, segmenter, await image.read(), form, threshold)
        found = await asyncio.get_running_loop().run_in_executor(worker, work)
        return Response(found.content, media_type=found.media_type)


def find_unclear(place: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A problem for each name that is unknown or given twice, which would be passed over in silence."""
    for name, count in Counter(names).items():
        if name not in KNOWN[place]:
            message = f"Not known; choose from {', '.join(KNOWN[place])}"
            yield {"type": "extra_forbidden", "loc": (place, name[:MOST_SHOWN]), "msg": message}
        elif count > 1:
            yield {"type": "repeated", "loc": (place, name), "msg": f"Given {count} times; give it once"}


def _add_facts(app: "FastAPI", facts: dict[str, Any]) -> None:
    from fastapi.responses import HTMLResponse

    from apps.api_page import render_page

    app.state.in_work = 0

    @app.get("/health")
    async def health() -> dict[str, str | int]:
        """Whether the API is there, and how many requests are in work."""
        return {"status": "ok", "in_work": app.state.in_work}

    @app.get("/model")
    async def model() -> dict[str, Any]:
        """Classes, threshold, scale and normalisation of the networks, and the limits of requests."""
        return facts

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        return render_page(app.openapi())


def _responses() -> dict[int | str, dict[str, Any]]:
    """What may come back besides 422, for the description of the API."""
    detail = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    picture = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
    good = {"description": "The result.", "content": {**picture, "application/json": {"schema": DESCRIPTION}}}
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {"application/json": {"schema": detail}}}
        for status, text in PROBLEMS.items()
    }
    return {200: good, **problems}
