import json
import shutil
import time

import pytest

from features import feature_set_of
from serving.access import create_demo_key
from tests.serving.api.bank import Bank, assert_problem

PUBLIC = ("/healthz", "/readyz")


@pytest.fixture(scope="module")
def keyless(trained, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("keyless") / "bank"
    shutil.copytree(trained, workspace)
    with Bank(workspace) as running:
        yield running


class TestWithoutAnyKey:
    def test_everything_but_health_is_refused(self, keyless):
        for path in PUBLIC:
            assert keyless.get(path, "").status_code == 200
        for path in ("/metrics", "/openapi.json", "/docs", "/redoc", "/", "/v1/model", "/nowhere"):
            assert_problem(keyless.get(path, ""), 401)
            assert_problem(keyless.get(path, "anything"), 401)

    def test_a_key_made_meanwhile_opens_it(self, keyless):
        create_demo_key(keyless.workspace)
        for _ in range(50):  # files of keys are looked at once a second
            if keyless.get("/v1/model", keyless.token()).status_code == 200:
                break
            time.sleep(0.1)
        assert keyless.get("/openapi.json", "").status_code == 200


class TestReadiness:
    def test_it_says_what_is_in_use(self, bank):
        found = bank.get("/readyz", "").json()
        assert found["status"] == "ready"
        assert found["versions"] == bank.engine.versions.to_dict()

    def test_without_states_it_says_which_job_to_run(self, tmp_path):
        create_demo_key(tmp_path)
        with Bank(tmp_path) as empty:
            assert empty.get("/healthz", "").status_code == 200
            answer = empty.get("/readyz", "")
            assert_problem(answer, 503, "nextproduct build")
            assert int(answer.headers["retry-after"]) > 0
            for path in ("/v1/customers/R1/recommendations", "/v1/model", "/v1/book?rm_id=x"):
                assert_problem(empty.get(path), 503, "nextproduct build")


class TestMetrics:
    def test_anonymous(self, bank):
        assert_problem(bank.get("/metrics", ""), 401)

    def test_decisions_are_counted_by_product_and_reason(self, bank, mine):
        def figures():
            lines = bank.get("/metrics").text.splitlines()
            return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}

        before = figures()
        answer = bank.get(f"/v1/customers/{mine}/recommendations", params={"limit": 2}).json()
        after = figures()

        def counted(name):
            return after.get(name, 0) - before.get(name, 0)

        assert counted('nextproduct_decisions_total{channel="rm",personalised="yes"}') == 1
        for each in answer["recommendations"]:
            assert counted(f'nextproduct_offered_total{{product="{each["product_id"]}"}}') == 1
        record = bank.get(f"/v1/decisions/{answer['decision_id']}").json()
        first = [reasons[0] for reasons in record["excluded"].values()]
        for reason in set(first):
            assert counted(f'nextproduct_excluded_total{{reason="{reason}"}}') == first.count(reason)
        for stage in ("authenticate", "events", "decide", "render", "record"):
            assert counted(f'nextproduct_stage_seconds_count{{stage="{stage}"}}') >= 1

    def test_refusals_are_counted(self, bank, mine, other_rm):
        def refused(reason):
            text = bank.get("/metrics").text
            line = f'nextproduct_refused_total{{reason="{reason}"}} '
            return sum(float(each.removeprefix(line)) for each in text.splitlines() if each.startswith(line))

        before = refused("not_theirs"), refused("not_authenticated"), refused("not_allowed")
        bank.get(f"/v1/customers/{mine}/recommendations", other_rm)
        bank.post("/v1/recommendations:batch", other_rm, json={"customer_ids": [mine]})
        bank.get("/v1/model", "")
        bank.post("/v1/admin/swap", other_rm, json={})
        after = refused("not_theirs"), refused("not_authenticated"), refused("not_allowed")
        assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1]


class TestVersions:
    def test_anonymous(self, bank):
        assert_problem(bank.get("/v1/model", ""), 401)
        assert_problem(bank.get("/v1/policy", ""), 401)

    def test_the_model_in_use(self, bank, rm):
        found = bank.get("/v1/model", rm).json()
        manifest = bank.engine.bundle.manifest
        for name in ("selected", "horizon", "seed"):
            assert found[name] == getattr(manifest, name)
        assert found["trained_to"] == bank.engine.states.calendar.end_of(manifest.trained_to).isoformat()
        assert found["features"] == len(feature_set_of(bank.engine.states).names)

    def test_the_policy_in_use_in_words_and_as_written(self, bank, rm):
        loaded = bank.engine.policy
        for language, word in (("en", "Policy demo"), ("zh", "demo")):
            found = bank.get("/v1/policy", rm, params={"language": language}).json()
            assert found["name"] == loaded.name
            assert found["document"] == loaded.document.data.decode()
            assert any(word in sentence for section in found["words"] for sentence in section["sentences"])


def test_cors_is_closed_by_default(bank, mine):
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    assert "access-control-allow-origin" not in bank.get(f"/v1/customers/{mine}", headers=asked).headers
    preflight = bank.ask("OPTIONS", f"/v1/customers/{mine}", "", headers=asked)
    assert "access-control-allow-origin" not in preflight.headers


def test_cors_opens_for_origins_that_are_named(trained, tmp_path):
    workspace = tmp_path / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    access = {"cors_origins": ("https://crm.bank.example",)}
    with Bank(workspace, access=access) as running:
        for origin, allowed in (("https://crm.bank.example", True), ("https://elsewhere.example", False)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            answer = running.ask("OPTIONS", "/v1/model", "", headers=asked)
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


def test_too_many_requests_are_refused_for_a_while(trained, tmp_path):
    workspace = tmp_path / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    with Bank(workspace, access={"requests_per_second": 0.01, "burst": 3}) as running:
        token, another = running.token(subject="one"), running.token(subject="another")
        assert [running.get("/v1/model", token).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert int(running.get("/v1/model", token).headers["retry-after"]) > 1
        assert running.get("/v1/model", another).status_code == 200


def test_answers_about_many_customers_cost_as_many_requests(trained, tmp_path):
    """A batch of a thousand cost what one customer does."""
    workspace = tmp_path / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    with Bank(workspace, access={"requests_per_second": 0.01, "burst": 10}) as running:
        ids = [running.engine.states.customer_id(position) for position in range(11)]

        def batch(n, token):
            return running.post("/v1/recommendations:batch", token, json={"customer_ids": ids[:n]})

        token = running.token(subject="one")
        assert batch(6, token).status_code == 200
        refused = batch(6, token)  # 4 are left; asking takes one of them
        assert_problem(refused, 429)
        # 6 more than are left, less the one of asking: 100 seconds each
        assert 190 <= int(refused.headers["retry-after"]) <= 200
        assert batch(3, token).status_code == 200
        assert running.get("/v1/model", token).status_code == 429
        other = running.token(subject="another")
        assert_problem(batch(11, other), 422, "11 customers", "10 requests", "ask about fewer")
        assert batch(9, other).status_code == 200


def test_a_page_of_a_book_costs_a_request_a_customer(trained, tmp_path):
    workspace = tmp_path / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    with Bank(workspace, access={"requests_per_second": 0.01, "burst": 10}) as running:
        rm_ids = running.engine.states.profile.vocabularies["rm_id"]
        rm_id = max(rm_ids, key=lambda each: len(running.customers_of_rm(each)))
        token = running.token("rm", rm_id=rm_id)
        shown = running.get("/v1/book", token, params={"size": 3}).json()["conversations"]
        assert len(shown) == 3
        statuses = [running.get("/v1/policy", token).status_code for _ in range(8)]
        assert statuses == [200] * 7 + [429]


def test_two_authorizations_are_none(bank):
    """The first of them counted, whichever a proxy had looked at."""
    token, stranger = bank.token(), "not.a.token"
    for pairs in (
        [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {stranger}")],
        [("Authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
        [("X-API-Key", "one"), ("X-API-Key", "two")],
    ):
        for path in ("/v1/customers/R0000003/recommendations", "/v1/model", "/metrics"):
            assert_problem(bank.get(path, "", headers=pairs), 401)
    assert bank.get("/v1/model", "", headers=[("Authorization", f"Bearer {token}")]).status_code == 200


def test_nothing_is_kept_by_browsers_and_proxies(bank, mine):
    """Answers about customers had no Cache-Control."""
    answers = [
        bank.get(f"/v1/customers/{mine}/recommendations"),
        bank.get(f"/v1/customers/{mine}"),
        bank.post("/v1/recommendations:batch", json={"customer_ids": [mine]}),
        bank.get(f"/v1/customers/{mine}/recommendations", ""),
        bank.get(f"/v1/customers/{mine}/recommendations?limit=0"),
        bank.get("/v1/customers/nobody"),
        bank.get("/v1/nowhere"),
        bank.post("/v1/recommendations:batch", content=b"x" * 1_100_000),
        bank.get("/readyz", ""),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 401, 422, 404, 404, 413, 200]
    for answer in answers:
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.url


def test_pages_of_other_origins_are_refused_with_a_problem(trained, tmp_path):
    """A line of text, whatever everything else is answered with."""
    workspace = tmp_path / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    with Bank(workspace, access={"cors_origins": ("https://crm.bank.example",)}) as running:
        asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "DELETE"}
        answer = running.ask("OPTIONS", "/v1/model", "", headers=asked)
        assert_problem(answer, 400, "Disallowed CORS origin, method")
        assert "Origin" in answer.headers["vary"]
        asked["Origin"] = "https://crm.bank.example"
        assert_problem(running.ask("OPTIONS", "/v1/model", "", headers=asked), 400, "Disallowed CORS method")


def test_a_body_that_is_too_large_is_refused(bank, mine):
    body = json.dumps({"customer_ids": [mine], "padding": "x" * 1_100_000})
    assert_problem(bank.post("/v1/recommendations:batch", content=body), 413, "1,000,000")
