"""The documentation is read where there is no internet."""

import re
from urllib.parse import urljoin

from tests.serving.api.bank import assert_problem


def test_the_page_has_all_it_needs_from_the_service(bank):
    """Styles, script and icon came from hosts on the internet: a bank saw a white page."""
    page = bank.get("/docs", "")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?:|//", re.sub(r"<!--.*?-->", "", page.text))
    wanted = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page.text)
    assert sorted(wanted) == ["docs/favicon.png", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "openapi.json"]
    kinds = {"css": "text/css", "js": "text/javascript", "png": "image/png", "json": "application/json"}
    for reference in wanted:
        found = bank.get(urljoin("/docs", reference), "")
        assert found.status_code == 200, reference
        assert found.headers["content-type"].split(";")[0] == kinds[reference.rsplit(".", 1)[1]]
        assert len(found.content) > 1000


def test_the_script_is_the_one_that_the_page_calls(bank):
    assert "SwaggerUIBundle" in bank.get("/docs/swagger-ui-bundle.js", "").text
    assert ".swagger-ui" in bank.get("/docs/swagger-ui.css", "").text


def test_browsers_are_told_to_load_nothing_from_elsewhere(bank):
    policy = bank.get("/docs", "").headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert '"validatorUrl": null' in bank.get("/docs", "").text  # by default a host on the internet


def test_styles_load_nothing_from_elsewhere(bank):
    loaded = re.findall(r"(?:@import|url\()\s*[\"']?([^\"')]+)", bank.get("/docs/swagger-ui.css", "").text)
    assert all(each.startswith(("data:", "#")) for each in loaded), loaded


def test_nothing_else_is_served(bank):
    for path in ("/redoc", "/docs/redoc.standalone.js", "/docs/..%2F__init__.py", "/docs/oauth2-redirect"):
        assert_problem(bank.get(path, ""), 404, "nothing has this address")
