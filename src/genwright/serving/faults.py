"""Errors in the API's own shape: {"error": {"message", "type", "param", "code"}}.

Every way a request can fail ends here: what pydantic refuses, what the engine or a constraint
refuses, what the server cannot take on now, and what nobody foresaw.
"""

import json
from collections.abc import Sequence
from reprlib import repr as brief  # however much came, its beginning is quoted
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from genwright.core import ConstraintError, InvalidArgument, nearest
from genwright.serving.openai_api import MOST_ALTERNATIVES, MOST_DRAWS

TYPES = {401: "authentication_error", 429: "rate_limit_error", 503: "server_error"}


class Fault(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Failure(BaseModel):
    """The body of every answer that is no success."""

    error: Fault


ANSWERS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Failure, "description": "The request cannot be answered as it is."},
    "5XX": {"model": Failure, "description": "The server failed, or took too long."},
}
"""How a description in OpenAPI tells of them."""


class ApiError(Exception):
    """A request that fails.

    Args:
        status: of HTTP.
        message: what came, what is allowed, what to do.
        param: the field it is about.
        code: for programs.
        retry_after: seconds after which another try may do better.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after
        self.body = {
            "error": {
                "message": message,
                "type": kind(status),
                "param": param,
                "code": code,
            }
        }

    def response(self) -> Response:
        """Return the answer that says so."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Json(self.body, self.status, headers)


class Json(JSONResponse):
    """JSON in ASCII: a message may quote half a surrogate pair, which UTF-8 cannot carry."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def kind(status: int) -> str:
    """Return the API's name for what went wrong."""
    return TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def translate(error: Exception, param: str | None = None) -> ApiError:
    """Return what an error of genwright means to who asked."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ConstraintError):
        return ApiError(400, str(error), param=param, code="invalid_constraint")
    if isinstance(error, InvalidArgument):
        return ApiError(400, str(error), param=param)
    return ApiError(500, f"The server failed: {type(error).__name__}. Its log says more.")


def unknown_model(asked: str, served: str) -> ApiError:
    """Return the error for a model that is not served."""
    return ApiError(
        404,
        f"The model {asked!r:.200} does not exist; this server has: {served}."
        f"{nearest(asked, [served])}",
        param="model",
        code="model_not_found",
    )


def install(app: FastAPI) -> None:
    """Have every failure of the app answered in the API's shape."""

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _explain(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        said = f"{request.method} {request.url.path}: {error.detail}."
        return ApiError(error.status_code, said).response()

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return translate(error).response()


def _explain(found: Sequence[Any]) -> ApiError:
    """Turn what pydantic finds in the first wrong field into a message with field and range."""
    field = found[0]["loc"][:2]
    # of the members of a union, the one whose type fitted best is the one that was meant
    first = max(
        (f for f in found if f["loc"][:2] == field),
        key=lambda f: (not f["type"].endswith("_type"), len(f["loc"])),
    )
    # of a union, pydantic names the member that it tried; nobody else knows it by that name
    where = [str(part) for part in first["loc"] if part != "body" and "[" not in str(part)]
    if first["type"] == "json_invalid":
        return ApiError(400, f"The body is no JSON: {first['ctx']['error']}.", code="invalid_json")
    if not where or first["loc"] == ("body",):
        return ApiError(
            400,
            "The body must be a JSON object, sent with the header Content-Type: application/json.",
        )
    name = where[0]
    if first["type"] == "missing":
        return ApiError(400, f"{'.'.join(where)} is required.", param=name)
    message = first["msg"].removeprefix("Value error, ")
    allowed = RANGES.get(name, "")
    said = f"{'.'.join(where)}: {message}{allowed}, got {brief(first['input'])}."
    return ApiError(400, said, param=name)


UNSUPPORTED = " (this server does not support it: leave it out)"
RANGES = {
    "n": f" (allowed: 1 to {MOST_DRAWS})",
    "temperature": " (allowed: 0 to 2)",
    "top_p": " (allowed: above 0, at most 1)",
    "top_logprobs": f" (allowed: 0 to {MOST_ALTERNATIVES})",
    "seed": " (allowed: -2^63 to 2^63 - 1)",
    **dict.fromkeys(("frequency_penalty", "presence_penalty", "logit_bias"), UNSUPPORTED),
    **dict.fromkeys(("tools", "functions", "echo", "suffix", "best_of"), UNSUPPORTED),
}
