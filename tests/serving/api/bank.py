"""A bank's service in this process, and callers of every role."""

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import contextmanager

import httpx

from serving.access import Role, create_demo_key, issue_demo_token
from serving.answering.book import customers_of
from serving.api.app import create_app
from serving.api.metrics import Metrics
from serving.config import ServingConfig
from tests.serving.later import CLOCK

PROBLEM = "application/problem+json"


class Bank:
    """A service over a workspace; what goes wrong in it is answered, not raised."""

    def __init__(self, workspace, clock=CLOCK, **settings):
        self.workspace = workspace
        self.app = create_app(workspace, ServingConfig(**settings), clock, Metrics())
        self._runner = asyncio.Runner()
        self._lifespan = self.app.router.lifespan_context(self.app)

    def __enter__(self):
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_):
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def run(self, work):
        return self._runner.run(work)

    @property
    def service(self):
        return self.app.state.service

    @property
    def engine(self):
        return self.service.in_use.get().engine

    def token(self, role=Role.ADMINISTRATOR, **claims):
        return issue_demo_token(self.workspace, Role(role), **claims)

    def ask(self, method, path, caller=None, **options):
        """The answer to `caller`: a token; None: an administrator; "": nobody."""
        return self._runner.run(self.send(method, path, caller, **options))

    async def send(self, method, path, caller=None, headers=None, **options):
        token = self.token() if caller is None else caller
        said = [("Authorization", f"Bearer {token}")] if token else []
        headers = [*said, *(headers.items() if isinstance(headers, Mapping) else headers or ())]
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://bank") as client:
            return await client.request(method, path, headers=headers, **options)

    def get(self, path, caller=None, **options):
        return self.ask("GET", path, caller, **options)

    def post(self, path, caller=None, **options):
        return self.ask("POST", path, caller, **options)

    def customers_of_rm(self, rm_id):
        states = self.engine.states
        return [states.customer_id(position) for position in customers_of(states, rm_id=rm_id)]


@contextmanager
def bank_of(trained, folder, **settings):
    """A service over a copy of a trained workspace, with the demonstration's key."""
    workspace = folder / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    with Bank(workspace, **settings) as bank:
        yield bank


def assert_problem(answer, status, *said):
    """Each error is a problem document that says what is wrong."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["instance"] == answer.headers["x-request-id"]
    for words in said:
        assert words in problem["detail"]
    return problem
