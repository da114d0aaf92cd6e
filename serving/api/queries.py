"""The query of the route that is asked most, read at once: FastAPI's way of taking parameters one by one would cost a
request more than its decision does."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, TypeVar, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams

Query = TypeVar("Query", bound=BaseModel)


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


@cache
def _lists_of(model: type[BaseModel]) -> frozenset[str]:
    properties = model.model_json_schema()["properties"]
    return frozenset(name for name, schema in properties.items() if schema.get("type") == "array")


_SHORT = 256
"""Bytes of a query that is remembered."""
_read_again = lru_cache(1024)(_read)
