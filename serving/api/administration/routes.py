"""Changing what is in use."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from features.errors import BadConfiguration, BadInput

from ...access import Principal
from ...deployment import Deployment, NotApproved, deploy, roll_back, wait_until_in_force
from ...deployment.changes import Intent
from ...desk.caller import caller_of, deployment_entry, deployment_shown
from ..answers import json_response
from ..callers import Administering
from ..logs import request_id_of
from ..operations.schemas import DeploymentAnswer, SwapRequest
from ..problems import BadRequest, Conflict, NotInForce, declared
from ..service import Service, service_of

router = APIRouter(prefix="/v1/admin", tags=["administration"])


@router.post(
    "/swap",
    summary="Put a model, states or a policy into use",
    response_model=DeploymentAnswer,
    responses=declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 503, 504),
)
async def swap(request: Request, wanted: SwapRequest, principal: Administering) -> Response:
    """Opened and tried before it is in use: what is broken is refused (422) and nothing changes. Answered when
    every worker uses it and nothing is put on record any more that the one before decided (504 where that takes too
    long); a decision never mixes versions, and no request is lost. Another policy than the one in use takes an approval
    of its digest (409 without), see `POST /v1/approvals`."""
    service = service_of(request)
    try:
        made = await asyncio.to_thread(
            deploy,
            service.workspace,
            service.tracking_uri,
            service.clock,
            by=principal.subject,
            intend=_intent(service, principal, request_id_of(request)),
            share=service.in_use.held,
            may_use=service.may_use,
            **wanted.model_dump(),
        )
    except NotApproved as error:
        raise Conflict(str(error)) from None
    except (BadInput, BadConfiguration) as error:
        raise BadRequest(str(error)) from None
    return await _told(service, made)


@router.post(
    "/rollback",
    summary="Go back to what was in use before",
    response_model=DeploymentAnswer,
    responses=declared(401, 403, 404, 422, 429, 503, 504),
)
async def rollback(request: Request, principal: Administering) -> Response:
    """Each call goes one change further back. Answered as a swap is."""
    service = service_of(request)
    try:
        made = await asyncio.to_thread(
            roll_back,
            service.workspace,
            service.tracking_uri,
            service.clock,
            by=principal.subject,
            intend=_intent(service, principal, request_id_of(request)),
            share=service.in_use.held,
        )
    except (BadInput, BadConfiguration) as error:
        raise BadRequest(str(error)) from None
    return await _told(service, made)


async def _told(service: Service, made: Deployment) -> Response:
    """What went into use, once it is in force in every worker."""
    service.in_use.look_now()
    late, workers = await asyncio.to_thread(wait_until_in_force, service.workspace, made.number)
    if late:
        raise NotInForce(
            f"deployment {made.number} was put into use, and {late} of {workers} workers do not use it yet: they go on "
            f"trying, and their log says what keeps them. It is in force everywhere when nextproduct_deployment_info "
            "tells of no other number"
        )
    return json_response(deployment_shown(made))


def _intent(service: Service, principal: Principal, request_id: str) -> Intent:
    """What puts a change on record before it has any effect; called by a thread that may wait."""

    def intend(deployment: Deployment) -> None:
        service.records.append_now([deployment_entry(deployment, caller_of(principal), request_id=request_id)])

    return intend
