"""Queries: nothing in them is passed over, and that of the route which is asked most is read at once.

A parameter that nobody knows is refused, as ``chanel=sms`` would otherwise decide for the policy's first channel; so is
one that is given twice and has one value. FastAPI's way of taking parameters one by one would cost a request of the
route that is asked most more than its decision does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Set
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, TypeVar, cast, get_args, get_origin

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .direct_route import DirectRoute

Query = TypeVar("Query", bound=BaseModel)


Caller = Callable[[Request], Awaitable[Any]]
"""Finds out who asks, and refuses who may not."""


def refuse_unknown(app: FastAPI, caller: type[Caller]) -> None:
    """Have the routes that `app` has by now refuse what is unknown in a query; a `DirectRoute` does so by itself.

    Parameters
    ----------
    caller : the kind of dependency that a route has which is not for everybody: who may not ask at all is told that
        before anything is said of a query
    """
    for route in app.routes:
        if isinstance(route, Route) and not isinstance(route, DirectRoute):
            route.app = _KnownQuery(route, caller)


def read_query(request: Request, model: type[Query]) -> Query:
    """The query of `request` by the fields of `model`.

    Raises
    ------
    RequestValidationError : as FastAPI does where it reads the query itself
    """
    text: bytes = request.scope["query_string"]
    # callers ask in the same few ways
    return cast("Query", _read_again(text, model) if len(text) <= _SHORT else _read(text, model))


def _read(text: bytes, model: type[BaseModel]) -> BaseModel:
    given = QueryParams(text)
    faults = list(_faults(given, model.model_fields.keys(), _lists_of(model)))
    if faults:
        raise RequestValidationError(faults)
    values: dict[str, Any] = {
        name: given.getlist(name) if name in _lists_of(model) else given[name]
        for name in model.model_fields
        if name in given
    }
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [{**fault, "loc": ("query", *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from None


def described(model: type[BaseModel], **path: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a route that reads its own, for its ``openapi_extra=``, and that it takes a caller.

    Parameters
    ----------
    path : the schema of each parameter of the path
    """
    properties = model.model_json_schema(ref_template="#/components/schemas/{model}")["properties"]
    parameters = [
        {"name": name, "in": "path", "required": True, "description": schema.get("description", ""), "schema": schema}
        for name, schema in path.items()
    ]
    for name, schema in properties.items():
        described = {key: value for key, value in schema.items() if key not in ("title", "description")}
        parameters.append(
            {"name": name, "in": "query", "required": False, "description": schema["description"], "schema": described}
        )
    return {"parameters": parameters, "security": [{"token": []}]}


class _KnownQuery:
    """A route that answers no query with what it does not know."""

    def __init__(self, route: Route, caller: type[Caller]) -> None:
        self._app: ASGIApp = route.app
        self._caller: Caller | None = None
        self._names: frozenset[str] = frozenset()
        self._lists: frozenset[str] = frozenset()
        if isinstance(route, APIRoute):
            dependants = list(_all_of(route.dependant))
            fields = [field for dependant in dependants for field in dependant.query_params]
            self._names = frozenset(field.alias for field in fields)
            self._lists = frozenset(field.alias for field in fields if _is_list(field.field_info.annotation))
            callers = (dependant.call for dependant in dependants)
            self._caller = next((call for call in callers if isinstance(call, caller)), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if text := scope["query_string"]:
            faults = list(_faults(QueryParams(text), self._names, self._lists))
            if faults:
                if self._caller is not None:
                    await self._caller(Request(scope))
                raise RequestValidationError(faults)
        await self._app(scope, receive, send)


def _all_of(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _all_of(each)


def _is_list(annotation: Any) -> bool:
    """Whether it is ``list[...]`` or ``list[...] | None``."""
    return get_origin(annotation) is list or any(get_origin(each) is list for each in get_args(annotation))


def _faults(given: QueryParams, names: Set[str], lists: Iterable[str]) -> Iterator[dict[str, Any]]:
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0)
            hint = f"the nearest is `{near[0]}`" if near else "this address takes none"
            yield {"type": "unknown_parameter", "loc": ("query", name), "msg": f"there is no such parameter: {hint}"}
        elif name not in lists and len(given.getlist(name)) > 1:
            yield {"type": "repeated_parameter", "loc": ("query", name), "msg": "given several times: give it once"}


@cache
def _lists_of(model: type[BaseModel]) -> frozenset[str]:
    properties = model.model_json_schema()["properties"]
    return frozenset(name for name, schema in properties.items() if schema.get("type") == "array")


_SHORT = 256
"""Bytes of a query that is remembered."""
_read_again = lru_cache(1024)(_read)
