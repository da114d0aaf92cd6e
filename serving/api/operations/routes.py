"""Health and figures of the service."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from ..answers import json_response
from ..callers import ReadingMetrics
from ..problems import declared
from ..service import service_of
from .schemas import Health, Readiness

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Is the process alive?", response_model=Health)
async def healthz() -> Response:
    """Answers whenever the process can answer anything: restart it when it does not."""
    return json_response({"status": "alive"})


@router.get("/readyz", summary="Can customers be answered?", response_model=Readiness, responses=declared(503))
async def readyz(request: Request) -> Response:
    """Whether there are states, champion and policy, and a decision could be put on record: tried by
    writing to where the records lie, once a second at most. Send no requests while not."""
    service = service_of(request)
    warnings = await service.readiness.check()
    deployment, engine = service.in_use.get()
    versions = engine.versions.to_dict()
    told = {"status": "ready", "deployment": deployment.number, "versions": versions, "warnings": warnings}
    return json_response(told)


@router.get(
    "/metrics",
    summary="Figures for Prometheus, of all workers",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format", "content": {"text/plain": {}}},
        **declared(401, 403, 429),
    },
)
async def metrics(request: Request, principal: ReadingMetrics) -> Response:
    """Latency by stage, decisions by product and reason, what is in use, how far the records are behind."""
    service = service_of(request)
    return Response(await asyncio.to_thread(service.metrics.render), media_type=service.metrics.media_type)
