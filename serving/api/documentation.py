"""The pages of `/docs`, which need no internet: Swagger UI as an installed package brings it, from this service."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)

_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
# the browser loads nothing from elsewhere; the page has a script and styles within
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


@router.get("/docs")
async def docs() -> Response:
    """The page; addresses in it are relative, as a proxy may have put the service under a path of its own."""
    page = get_swagger_ui_html(
        title="nextproduct",
        openapi_url="openapi.json",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},  # by default a service on the internet
    )
    page.headers["content-security-policy"] = _POLICY
    return page


@router.get("/docs/{name}")
async def asset(name: Annotated[str, Path()]) -> Response:
    """A file that the page needs."""
    if name not in _MEDIA_TYPES:
        raise HTTPException(404)
    return Response(_content(name), media_type=_MEDIA_TYPES[name])


@cache
def _content(name: str) -> bytes:
    return files("fastapi_offline").joinpath("static", name).read_bytes()
