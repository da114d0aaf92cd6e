"""The table of facts beside what the service answered."""

from datetime import date

import pyarrow.parquet as pq

from serving.records.facts import write_facts
from serving.software import SOFTWARE


def test_it_says_what_was_answered(bank, rm, mine, tmp_path):
    answer = bank.get(f"/v1/customers/{mine}/recommendations", rm, params={"limit": 3}).json()
    first, *others = answer["recommendations"]
    told = {"decision_id": answer["decision_id"], "product_id": first["product_id"], "outcome": "shown"}
    feedback = bank.post("/v1/feedback", rm, json=told)
    assert feedback.status_code == 201, feedback.text
    write_facts(bank.service.records, tmp_path / "facts.parquet")
    rows = pq.read_table(tmp_path / "facts.parquet").to_pylist()
    own = [row for row in rows if row["decision_id"] == answer["decision_id"]]
    assert len(own) == 1 + len(others) > 0
    for row, suggestion in zip(own, answer["recommendations"], strict=True):
        for name in ("rank", "product_id", "propensity", "value", "context", "lever", "priority", "client_asked"):
            assert row[name] == suggestion[name]
        assert (row["customer_id"], row["channel"], row["role"]) == (mine, answer["channel"], "rm")
        assert row["day"] == date.fromisoformat(answer["day"])
        for name in ("model", "states", "policy", "catalogue"):
            assert row[name] == answer["versions"][name]
        assert row["software"] == SOFTWARE
    assert [row["outcome"] for row in own] == ["shown"] + [None] * len(others)
