"""Every look at a customer leaves an entry: who looked, from where, by which route."""

from __future__ import annotations

from fastapi import Request

from ..access import Principal
from ..desk.looks import Look, What
from .logs import request_id_of, route_of
from .service import service_of


async def put_on_record(request: Request, principal: Principal, what: What, customer_id: str) -> None:
    """Put on record that the principal is about to see something of a customer.

    Raises
    ------
    RecordsUnavailable : when that cannot be done, and nothing may be shown
    """
    await service_of(request).looks.note(_look(request, principal, what, customer_id))


def put_refusal_on_record(request: Request, customer_id: str | None) -> None:
    """Put on record, as soon as that can be done, that whoever makes `request` was refused; nobody waits for it.

    Parameters
    ----------
    customer_id : whom it was about, if anybody is named
    """
    principal = request.scope.get("principal")
    if principal is not None:
        service_of(request).looks.note_refused(_look(request, principal, "refused", customer_id))


def _look(request: Request, principal: Principal, what: What, customer_id: str | None) -> Look:
    client = request.client.host if request.client is not None else "unknown"
    return Look(what, principal, customer_id, client, request_id_of(request), route_of(request.scope))
