"""What the page says where something can't be done."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fpml.base.errors import FpmlError, not_installed
from fpml.tryout.sessions import Forgotten
from fpml.tryout.work import Busy


def in_one_line(app: FastAPI) -> None:
    """Every error as {"error": line}, in the words of the commands."""

    def answer(status: int, line: str) -> JSONResponse:
        return JSONResponse({"error": " ".join(line.split())[:500]}, status)

    @app.exception_handler(FpmlError)
    async def known(_: Request, error: FpmlError) -> JSONResponse:
        return answer(410 if isinstance(error, Forgotten) else 503 if isinstance(error, Busy) else 400, str(error))

    @app.exception_handler(RequestValidationError)
    async def not_as_asked(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = (f"{'.'.join(map(str, p['loc'][1:])) or 'the request'}: {p['msg']}" for p in error.errors())
        return answer(400, "; ".join(problems))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(ModuleNotFoundError)
    async def missing(_: Request, error: ModuleNotFoundError) -> JSONResponse:
        return answer(400, not_installed(error.name))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return answer(500, f"{type(error).__name__}: {error}")
