"""The query of the route that is asked most, read at once: FastAPI's way of taking parameters one by one would cost a
request more than its decision does."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Query = TypeVar("Query", bound=BaseModel)


def read_query(request: Request, model: type[Query]) -> Query:
    """The query of `request` by the fields of `model`.

    Raises
    ------
    RequestValidationError : as FastAPI does where it reads the query itself
    """
    given = request.query_params
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


def _lists_of(model: type[BaseModel]) -> frozenset[str]:
    found = _LISTS.get(model)
    if found is None:
        found = _LISTS[model] = frozenset(
            name for name, schema in model.model_json_schema()["properties"].items() if schema.get("type") == "array"
        )
    return found


_LISTS: dict[type[BaseModel], frozenset[str]] = {}
