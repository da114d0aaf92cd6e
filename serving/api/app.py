"""The application: routes over one worker's parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.middleware import Middleware

from features.clock import Clock

from ..access import NotAllowed
from ..config import ServingConfig
from ..desk.customers import NotTheirs
from ..http import encoded_ids, queries
from . import documentation, problems
from .callers import WithPermission, describe_keys
from .cors import CrossOrigin
from .gate import Gate
from .limits import RequestLimits
from .logs import RequestLog
from .looking import put_refusal_on_record
from .metrics import Metrics
from .routers import ROUTERS
from .service import opened, service_of
from .tracing import NO_TELEMETRY_OF_FASTAPI, TracedRequests, tracer_of

_DESCRIPTION = """
Next-best-product suggestions for relationship managers and channels: what to offer a customer next, by the champion
model over the current customer states, as far as the policy allows it, with reasons. Every decision is on record before
it is answered.

下一最优产品推荐服务：按策略筛选并给出理由，每个决策先留痕、后返回。
"""


def create_app(
    workspace: Path, config: ServingConfig, clock: Clock, metrics: Metrics, tracking_uri: str | None = None
) -> FastAPI:
    """The service over `workspace`, one worker of it.

    Parameters
    ----------
    clock : tells what day it is at the bank
    metrics : where this worker counts
    tracking_uri : where the registry is; None: in the workspace

    Raises
    ------
    BadConfiguration : when tracing is asked for and cannot be done
    """
    tracer = tracer_of(config.tracing)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(workspace, config, tracking_uri, clock, metrics) as service:
            app.state.service = service
            yield
        if tracer is not None:
            tracer.close()

    middleware = [Middleware(RequestLog, metrics=metrics)]
    if tracer is not None:
        middleware.append(Middleware(TracedRequests, tracer=tracer))
    if config.access.cors_origins:
        middleware.append(
            Middleware(
                CrossOrigin,
                allow_origins=config.access.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Request-ID"],
            )
        )
    middleware += [
        Middleware(Gate),
        Middleware(RequestLimits, max_body_bytes=config.max_body_bytes, body_timeout=config.body_timeout),
    ]
    app = FastAPI(
        title="nextproduct",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        middleware=middleware,
        docs_url=None,  # FastAPI's own pages load what they need from the internet
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy the service does not know its own address
        telemetry=NO_TELEMETRY_OF_FASTAPI,
    )
    problems.install(app)
    app.add_exception_handler(NotTheirs, _answer_not_theirs)
    app.add_exception_handler(NotAllowed, _answer_not_allowed)
    # before FastAPI's own; and to include the routers would have each request go through them
    app.routes[:0] = [*(route for router in ROUTERS for route in router.routes), *documentation.ROUTES]
    encoded_ids.install(app)
    queries.refuse_unknown(app, WithPermission)
    describe_keys(app)
    return app


async def _answer_not_theirs(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotTheirs)
    service_of(request).metrics.count_refused("not_theirs")
    put_refusal_on_record(request, error.customer_id)
    return problems.problem_response(error, request)


async def _answer_not_allowed(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotAllowed)
    put_refusal_on_record(request, request.path_params.get("customer_id"))
    return problems.problem_response(error, request)
