"""The page's web application: one page, its script and style, and an answer for each of its buttons.

Nothing is written: bodies are read into memory, never through a form's parser, which keeps what is over a megabyte on disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import anyio
import jinja2
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect

import fpml
from fpml.base.errors import FpmlError, not_installed
from fpml.inference.compare import kind_of
from fpml.inference.model import Model
from fpml.tryout import answers, made, pictures
from fpml.tryout.door import Door
from fpml.tryout.errors import in_one_line
from fpml.tryout.models import NO_REPAIR, Models, chosen, told
from fpml.tryout.sessions import SLOTS, Forgotten, Session, Sessions
from fpml.tryout.work import Queue

HERE = Path(__file__).parent
RECEIVED = 4  # uploads that are read at once
PATIENCE = 60  # seconds that an upload may take
SWEPT = 30  # seconds between two looks for pages that are idle
Token = Annotated[str, Header(alias="fpml-session")]


class Asked(BaseModel):
    """A model, and the dpi of the print; None: told by its ridges."""

    model_config = ConfigDict(extra="forbid")
    model: str
    dpi: float | None = None


class AskedOfTwo(Asked):
    second_dpi: float | None = None


class Enrolment(Asked):
    finger: str


class Example(BaseModel):
    model_config = ConfigDict(extra="forbid")
    file: str


def create_app(models: Models, sessions: Sessions | None = None, queue: Queue | None = None) -> FastAPI:
    sessions = Sessions() if sessions is None else sessions
    queue = Queue() if queue is None else queue
    receiving = anyio.CapacityLimiter(RECEIVED)

    @asynccontextmanager
    async def sweeping(_: FastAPI) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(SWEPT)
                sessions.forget_the_idle()

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    # FastAPI's own pages load scripts from elsewhere; and it would tell a collector of telemetry that the environment names.
    silent: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = FastAPI(lifespan=sweeping, docs_url=None, redoc_url=None, openapi_url=None, telemetry=silent)
    app.add_middleware(Door, largest={"/api/picture/": pictures.LARGEST})
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    in_one_line(app)
    page = _page(models)

    async def computed(token: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """A function's result, in its turn; nothing is computed for a page that closed meanwhile."""

        def in_turn() -> tuple[Any, float]:
            if token not in sessions:
                raise Forgotten("this page was closed")
            start = time.perf_counter()
            return function(*arguments), 1000 * (time.perf_counter() - start)

        return await queue.run(in_turn)

    async def answered(token: str, model: Model | None, function: Callable[..., dict[str, Any]], *arguments: Any) -> Any:
        answer, milliseconds = await computed(token, function, *arguments)
        return {**answer, "ms": round(milliseconds), "model": None if model is None else told(model)}

    @app.get("/")
    async def show() -> HTMLResponse:
        return HTMLResponse(page)

    @app.post("/api/open")
    async def open_page() -> dict[str, str]:
        return {"session": sessions.open()}

    @app.post("/api/close")
    async def close_page(request: Request) -> Response:
        """The token is the body: a browser that closes a page sends no headers of ours."""
        sessions.close((await request.body()).decode(errors="replace"))
        return Response(status_code=204)

    @app.post("/api/picture/{slot}")
    async def upload(slot: str, request: Request, fpml_session: Token = "", name: str = "picture") -> Any:
        session = _with_slot(sessions, fpml_session, slot)
        content = await _received(request, receiving)
        picture, _ = await computed(fpml_session, pictures.opened, content, name, models.finder)
        return _kept(sessions, session, slot, picture)

    @app.post("/api/example/{slot}")
    async def take_example(slot: str, asked: Example, fpml_session: Token = "") -> Any:
        session = _with_slot(sessions, fpml_session, slot)
        picture, _ = await computed(fpml_session, pictures.example, asked.file)
        return _kept(sessions, session, slot, picture)

    @app.post("/api/compare")
    async def compare(asked: AskedOfTwo, fpml_session: Token = "") -> Any:
        session, model = sessions.get(fpml_session), chosen(models.comparing, asked.model)
        both = (session.picture("first"), session.picture("second"))
        return await answered(fpml_session, model, answers.compare, model, both, (asked.dpi, asked.second_dpi))

    @app.post("/api/enrol")
    async def enrol(asked: Enrolment, fpml_session: Token = "") -> Any:
        session, model = sessions.get(fpml_session), chosen(models.comparing, asked.model)
        kind, picture = kind_of(model), session.picture("enrol")
        kept, milliseconds = await computed(fpml_session, answers.feature, kind, picture, asked.dpi)
        gallery = answers.enrol(session.galleries.get(asked.model), kind, kept, asked.finger, picture)
        session.galleries[asked.model] = gallery
        return {"gallery": answers.listed(gallery), "ms": round(milliseconds), "model": told(model)}

    @app.post("/api/enrolled")
    async def enrolled(asked: Asked, fpml_session: Token = "") -> Any:
        return {"gallery": answers.listed(sessions.get(fpml_session).galleries.get(asked.model))}

    @app.post("/api/forget")
    async def forget(asked: Asked, fpml_session: Token = "") -> Any:
        sessions.get(fpml_session).galleries.pop(asked.model, None)
        return {"gallery": []}

    @app.post("/api/identify")
    async def identify(asked: Asked, fpml_session: Token = "") -> Any:
        session, model = sessions.get(fpml_session), chosen(models.comparing, asked.model)
        gallery, picture = session.galleries.get(asked.model), session.picture("probe")
        return await answered(fpml_session, model, answers.identify, model, gallery, picture, asked.dpi)

    @app.post("/api/repair")
    async def repair(asked: Asked, fpml_session: Token = "") -> Any:
        session, model = sessions.get(fpml_session), chosen(models.repairing, asked.model)
        return await answered(fpml_session, model, answers.repair, model, session.picture("repair"), asked.dpi)

    @app.post("/api/inside")
    async def inside(asked: Asked, fpml_session: Token = "") -> Any:
        session, model = sessions.get(fpml_session), chosen(models.finding, asked.model)
        return await answered(fpml_session, model, answers.inside, model, session.picture("inside"), asked.dpi)

    @app.post("/api/choices")
    async def choices(fpml_session: Token = "") -> Any:
        sessions.get(fpml_session)
        return (await computed(fpml_session, made.choices))[0]

    @app.post("/api/make")
    async def make(wish: made.Wish, fpml_session: Token = "") -> Any:
        sessions.get(fpml_session)
        return await answered(fpml_session, None, made.make, wish)

    @app.post("/api/made.zip")
    async def packed(wish: made.Wish, fpml_session: Token = "") -> Response:
        sessions.get(fpml_session)
        content, _ = await computed(fpml_session, made.packed, wish)
        return Response(content, media_type="application/zip")

    return app


async def _received(request: Request, receiving: anyio.CapacityLimiter) -> bytes:
    """A body, in memory. FpmlError where it does not come."""
    try:
        with anyio.fail_after(PATIENCE):
            async with receiving:
                return b"".join([chunk async for chunk in request.stream()])
    except TimeoutError:
        raise FpmlError(f"the upload took longer than {PATIENCE} seconds; try again") from None
    except ClientDisconnect:
        raise FpmlError("the upload was broken off") from None


def _with_slot(sessions: Sessions, token: str, slot: str) -> Session:
    if slot not in SLOTS:
        raise FpmlError(f"no place '{slot}' for a picture; there are {', '.join(SLOTS)}")
    return sessions.get(token)


def _kept(sessions: Sessions, session: Session, slot: str, picture: pictures.Picture) -> dict[str, Any]:
    session.pictures[slot] = picture
    sessions.make_room()
    return picture.answer()


def _page(models: Models) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("page.html.j2").render(
        models=models, no_repair=NO_REPAIR, no_make="" if _there("torch") else not_installed("torch"),
        examples=pictures.examples(), largest=pictures.LARGEST, version=fpml.__version__,
    )  # fmt: skip


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
