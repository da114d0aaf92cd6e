"""The application: routes over a recommender, errors as problem details."""

from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from features.errors import NextProductError, NotFound

from ..config import ServingConfig
from ..language import Language
from .holder import RecommenderHolder
from .schemas import Health, Problem, Readiness, Recommendations

_DESCRIPTION = """
Next-best-product suggestions: what to offer a customer next, by the champion model over the current customer states.
下一最优产品推荐服务。
"""

_MEANINGS = {
    404: "The customer, a product or the channel is not known",
    422: "A parameter is out of range",
    503: "States or champion are missing or cannot be used; `detail` says what to run",
}
_PROBLEM_MEDIA = "application/problem+json"


def create_app(holder: RecommenderHolder, config: ServingConfig) -> FastAPI:
    """The service over whatever `holder` has in use."""

    app = FastAPI(
        title="nextproduct",
        version="1",
        description=_DESCRIPTION,
        exception_handlers={
            NextProductError: _problem_of_error,
            RequestValidationError: _problem_of_request,
            HTTPException: _problem_of_http,
            Exception: _problem_of_failure,
        },
    )

    @app.get("/healthz", tags=["operations"], summary="Is the process alive?", response_model=Health)
    async def healthz() -> Response:
        return _json({"status": "alive"})

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Can customers be answered?",
        response_model=Readiness,
        responses=_problems(503),
    )
    async def readyz() -> Response:
        return _json({"status": "ready", "versions": holder.get().versions.to_dict()})

    @app.get(
        "/v1/customers/{customer_id}/recommendations",
        tags=["recommendations"],
        summary="Products to offer a customer next",
        response_model=Recommendations,
        responses=_problems(404, 422, 503),
    )
    async def recommendations(
        customer_id: Annotated[str, Path(description="As in the bank's customers table", min_length=1)],
        limit: Annotated[int, Query(description="Products at most", ge=1, le=config.max_limit)] = config.default_limit,
        channel: Annotated[
            str | None, Query(description="Through which the customer is contacted; by default the policy's first")
        ] = None,
        client_asked: Annotated[
            list[str] | None, Query(description="Products the client asked for; the rest is what we recommend")
        ] = None,
        language: Annotated[Language, Query(description="Of the reasons")] = Language.EN,
    ) -> Response:
        """What the policy allows the customer to be offered, by priority, best first, with reasons."""
        found = holder.get().recommend(customer_id, limit, channel=channel, asked=client_asked or ())
        return _json(found.to_dict(language))

    return app


def _json(content: dict[str, Any], status: int = 200, media_type: str = "application/json") -> Response:
    return Response(orjson.dumps(content), status, media_type=media_type)


def _problem(status: int, detail: str) -> Response:
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail).model_dump()
    return _json(content, status, _PROBLEM_MEDIA)


async def _problem_of_error(_: Request, error: Exception) -> Response:
    return _problem(404 if isinstance(error, NotFound) else 503, str(error))


async def _problem_of_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors())
    return _problem(422, detail)


async def _problem_of_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _problem(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _problem_of_failure(_: Request, error: Exception) -> Response:
    return _problem(500, f"{type(error).__name__}: the service's log says more")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for OpenAPI."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {_PROBLEM_MEDIA: {"schema": Problem.model_json_schema()}},
        }
        for status in statuses
    }
