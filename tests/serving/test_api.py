import asyncio
import shutil

import httpx
import pytest

from features.build import build_states
from serving.api import create_app
from serving.api.holder import RecommenderHolder
from serving.config import ServingConfig
from tests.training.banks import light, synthetic_tables
from training import CHAMPION, Tracking, train

ROUTE = "/v1/customers/{}/recommendations"
CUSTOMER = ROUTE.format("R0000003")
PROBLEM = "application/problem+json"


class Client:
    """Talks to an application that runs in this process; what goes wrong in it is answered, not raised."""

    def __init__(self, app):
        self._app = app
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)

    def __enter__(self):
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_):
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def get(self, path, **options):
        return self._runner.run(self._send("GET", path, **options))

    def post(self, path):
        return self._runner.run(self._send("POST", path))

    async def _send(self, method, path, **options):
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://bank") as client:
            return await client.request(method, path, **options)


def client_of(workspace, **settings):
    return Client(create_app(RecommenderHolder(workspace), ServingConfig(**settings)))


@pytest.fixture(scope="module")
def client(trained):
    with client_of(trained, default_limit=4, max_limit=9) as running:
        yield running


def assert_problem(answer, status, *said):
    """Each error is a problem document that says what is wrong."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == status
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["title"]
    for words in said:
        assert words in body["detail"]


class TestRecommendations:
    def test_are_the_recommender_s(self, client, recommender):
        answer = client.get(CUSTOMER, params={"limit": 3})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == recommender.recommend("R0000003", 3).to_dict()

    def test_have_factors_reasons_and_versions(self, client, recommender):
        body = client.get(CUSTOMER).json()
        assert body["customer_id"] == "R0000003"
        assert body["versions"] == recommender.versions.to_dict()
        assert (body["channel"], body["day"], body["personalised"]) == ("rm", "2026-06-30", True)
        for rank, product in enumerate(body["recommendations"], start=1):
            assert product["rank"] == rank
            assert 0 < product["propensity"] < 1
            assert all(reason["text"] for reason in product["reasons"])
        priorities = [product["priority"] for product in body["recommendations"]]
        assert priorities == sorted(priorities, reverse=True)

    def test_speak_chinese(self, client):
        english, chinese = (
            client.get(CUSTOMER, params={"language": language}).json()["recommendations"] for language in ("en", "zh")
        )
        for one, other in zip(english, chinese, strict=True):
            assert one["product_id"] == other["product_id"]
            for said, spoken in zip(one["reasons"], other["reasons"], strict=True):
                assert said["topic"] == spoken["topic"]
                assert any("\u4e00" <= letter <= "\u9fff" for letter in spoken["text"])
                assert said["text"] != spoken["text"]

    def test_what_the_client_asked_for_comes_first(self, client, recommender):
        asked = recommender.recommend("R0000003", 9).suggestions[-1].product_id
        first = client.get(CUSTOMER, params={"client_asked": asked}).json()["recommendations"][0]
        assert (first["product_id"], first["client_asked"]) == (asked, True)

    @pytest.mark.parametrize("name", ["channel", "client_asked"])
    def test_an_unknown_channel_or_product_is_not_found(self, client, name):
        assert_problem(client.get(CUSTOMER, params={name: "pigeon"}), 404, "'pigeon'")

    def test_are_as_many_as_asked_for(self, client):
        for limit in (1, 4, 7):
            assert len(client.get(CUSTOMER, params={"limit": limit}).json()["recommendations"]) == limit
        assert len(client.get(CUSTOMER).json()["recommendations"]) == 4

    def test_of_an_unknown_customer_are_not_found(self, client):
        assert_problem(client.get(ROUTE.format("nobody")), 404, "customer 'nobody' is not in the states of 2026-06-30")

    @pytest.mark.parametrize(
        "strange", ["%E5%AE%A2%E6%88%B7", "R0000001%00", "%FF", "..%2f..%2fetc", "x" * 5000, "%20"]
    )
    def test_of_a_strange_id_are_not_found(self, client, strange):
        assert_problem(client.get(ROUTE.format(strange)), 404)

    @pytest.mark.parametrize("limit", ["0", "-1", "10", "many", "", "1.5", "1e3", "9" * 40])
    def test_a_bad_limit_is_refused_by_name(self, client, limit):
        assert_problem(client.get(CUSTOMER, params={"limit": limit}), 422, "limit: Input should be")

    def test_the_problem_is_named(self, client):
        assert client.get(ROUTE.format("nobody")).json()["title"] == "Not Found"


class TestOtherRoutes:
    def test_healthz_asks_for_nothing(self, client, tmp_path):
        assert client.get("/healthz").json() == {"status": "alive"}
        with client_of(tmp_path) as empty:
            assert empty.get("/healthz").status_code == 200

    def test_readyz_says_with_what(self, client, recommender):
        answer = client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {"status": "ready", "versions": recommender.versions.to_dict()}

    def test_one_that_is_none_is_a_problem_too(self, client):
        assert_problem(client.get("/v2/customers"), 404, "Not Found")

    def test_a_method_that_is_none_is_a_problem_too(self, client):
        answer = client.post(CUSTOMER)
        assert_problem(answer, 405, "Method Not Allowed")
        assert answer.headers["allow"] == "GET"


class TestNotReady:
    def test_says_what_to_run_until_it_has_run(self, session_folder, tmp_path):
        """The service is started first and is not restarted."""
        with client_of(tmp_path) as waiting:
            for path in (CUSTOMER, "/readyz"):
                assert_problem(waiting.get(path), 503, "no customer states", "nextproduct build")
            build_states(synthetic_tables(session_folder), tmp_path)
            for path in (CUSTOMER, "/readyz"):
                assert_problem(waiting.get(path), 503, "no champion", "nextproduct train")
            train(tmp_path, light(models=("popularity",)))
            assert waiting.get("/readyz").status_code == 200
            assert waiting.get(CUSTOMER).json()["recommendations"]

    def test_a_bad_limit_is_the_asker_s_fault_all_the_same(self, tmp_path):
        with client_of(tmp_path) as waiting:
            assert_problem(waiting.get(CUSTOMER, params={"limit": 0}), 422)

    def test_a_champion_that_cannot_be_used_is_a_reason(self, own):
        """Broken before: the service did not start, or answered 500 without a word."""
        workspace, _ = own
        folder = Tracking(workspace).version(CHAMPION).folder
        shutil.move(folder / "catalogue.json", workspace)
        with client_of(workspace) as mending:
            assert_problem(mending.get(CUSTOMER), 503, "catalogue.json", "train again")
            assert_problem(mending.get("/readyz"), 503, "catalogue.json")
            shutil.move(workspace / "catalogue.json", folder)
            assert mending.get(CUSTOMER).status_code == 200

    def test_what_nobody_expected_is_a_problem_without_its_secrets(self, trained, monkeypatch):
        def fail(_self):
            raise RuntimeError("password")

        monkeypatch.setattr(RecommenderHolder, "get", fail)
        with client_of(trained) as failing:
            answer = failing.get(CUSTOMER)
        assert_problem(answer, 500, "RuntimeError")
        assert "password" not in answer.text


class TestOpenAPI:
    @pytest.fixture
    def document(self, client):
        return client.get("/openapi.json").json()

    def test_lists_every_route_and_its_errors(self, document):
        errors = {
            path: sorted(status for status in route["get"]["responses"] if status != "200")
            for path, route in document["paths"].items()
        }
        assert errors == {
            "/healthz": [],
            "/readyz": ["503"],
            ROUTE.format("{customer_id}"): ["404", "422", "503"],
        }

    def test_errors_are_problem_documents_and_nothing_else(self, document):
        for route in document["paths"].values():
            for status, response in route["get"]["responses"].items():
                if status == "200":
                    continue
                assert list(response["content"]) == [PROBLEM]
                assert {"status", "detail"} <= set(response["content"][PROBLEM]["schema"]["properties"])
                assert response["description"]

    def test_what_is_answered_is_what_is_described(self, client, document):
        schemas = document["components"]["schemas"]
        body = client.get(CUSTOMER).json()
        assert set(body) == set(schemas["Recommendations"]["properties"])
        assert set(body["recommendations"][0]) == set(schemas["RecommendedProduct"]["properties"])
        assert set(body["versions"]) == set(schemas["DecisionVersions"]["properties"])

    def test_says_what_parameters_mean_and_may_be(self, document):
        route = document["paths"][ROUTE.format("{customer_id}")]["get"]
        parameters = {parameter["name"]: parameter for parameter in route["parameters"]}
        assert all(parameter["description"] for parameter in parameters.values())
        limit = parameters["limit"]["schema"]
        assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 9, 4)
        assert all(route["get"]["summary"] for route in document["paths"].values())
