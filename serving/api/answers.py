"""How answers are written."""

from typing import Any

import orjson
from fastapi import Response


def json_response(content: dict[str, Any], status: int = 200) -> Response:
    """`content` as JSON; `orjson.Fragment` is JSON already."""
    return Response(orjson.dumps(content), status, media_type="application/json")
