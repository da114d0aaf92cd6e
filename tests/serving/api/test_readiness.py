"""A service that starts before the jobs have run, or beside what is broken, says what is missing and looks again."""

import shutil
import time

import pytest

from features.build import build_states
from serving.access import create_demo_key
from tests.serving.api.bank import Bank, assert_problem
from tests.training.banks import light, synthetic_tables
from training import CHAMPION, Tracking, train

CUSTOMER = "/v1/customers/R0000003/recommendations"


def soon(look):
    """What `look` gives once it gives something: the service looks by itself, after a while."""
    for _ in range(600):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_it_says_what_to_run_until_it_has_run(session_folder, tmp_path):
    """The service is started first and is not restarted."""
    create_demo_key(tmp_path)
    with Bank(tmp_path) as waiting:
        for path in (CUSTOMER, "/readyz"):
            assert_problem(waiting.get(path), 503, "nextproduct build")
        build_states(synthetic_tables(session_folder), tmp_path)
        soon(lambda: "nextproduct train" in waiting.get("/readyz").text)
        assert_problem(waiting.get(CUSTOMER), 503, "nextproduct train")
        train(tmp_path, light(models=("popularity",)))
        soon(lambda: waiting.get("/readyz").status_code == 200)
        assert waiting.get(CUSTOMER).json()["recommendations"]


def test_a_bad_limit_is_the_askers_fault_all_the_same(tmp_path):
    create_demo_key(tmp_path)
    with Bank(tmp_path) as waiting:
        assert_problem(waiting.get(CUSTOMER, params={"limit": 0}), 422)


def test_a_champion_that_cannot_be_used_is_a_reason(trained, tmp_path):
    """Broken before: the service did not start, or answered 500 without a word."""
    workspace = tmp_path / "bank"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    folder = Tracking(workspace).version(CHAMPION).folder
    shutil.move(folder / "catalogue.json", workspace)
    with Bank(workspace) as mending:
        assert_problem(mending.get(CUSTOMER), 503)
        assert_problem(mending.get("/readyz"), 503)
        assert "catalogue.json" in mending.service.in_use.failure  # which is logged: callers learn nothing of files
        shutil.move(workspace / "catalogue.json", folder)
        soon(lambda: mending.get(CUSTOMER).status_code == 200)


@pytest.mark.parametrize("strange", ["%E5%AE%A2%E6%88%B7", "R0000001%00", "%FF", "..%2f..%2fetc", "x" * 5000, "%20"])
def test_strange_ids_are_nobodys(bank, strange):
    assert bank.get(f"/v1/customers/{strange}/recommendations").status_code in (404, 422)


def test_a_zero_byte_is_no_second_name(bank):
    """Broken before: NumPy drops zero bytes at the end, so events under one name were not heard under the other."""
    body = {"customer_ids": ["R0000001\x00"]}
    assert_problem(bank.post("/v1/recommendations:batch", json=body), 422, "customer_ids")
    with pytest.raises(Exception, match="not in the states"):
        bank.engine.states.position_of("R0000001\x00")


def test_reasons_speak_chinese(bank, mine):
    english, chinese = (
        bank.get(f"/v1/customers/{mine}/recommendations", params={"language": language}).json()["recommendations"]
        for language in ("en", "zh")
    )
    for one, other in zip(english, chinese, strict=True):
        assert one["product_id"] == other["product_id"]
        for said, spoken in zip(one["reasons"], other["reasons"], strict=True):
            assert said["topic"] == spoken["topic"]
            assert any("\u4e00" <= letter <= "\u9fff" for letter in spoken["text"])
            assert said["text"] != spoken["text"]
