"""The pages of `/docs`, which need no internet: Swagger UI as an installed package brings it, from this service."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.routing import Route

_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
# the browser loads nothing from elsewhere; the page has a script and styles within
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


async def _docs(_: Request) -> Response:
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


async def _asset(request: Request) -> Response:
    """A file that the page needs."""
    name = request.url.path.rpartition("/")[2]
    return Response(_content(name), media_type=_MEDIA_TYPES[name])


@cache
def _content(name: str) -> bytes:
    return files("fastapi_offline").joinpath("static", name).read_bytes()


ROUTES = [Route("/docs", _docs), *(Route(f"/docs/{name}", _asset) for name in _MEDIA_TYPES)]
"""The page and what it needs."""
