"""A bank of which everything is known by heart, and what is said of its customers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features import CustomerStates, block_of, build_states, feature_set_of
from serving.decisions import CompiledPolicy, Context, decide
from serving.decisions.reasons.topics import Topics
from serving.decisions.reasons.wording import SENTENCES
from serving.decisions.reasons.wording_client import Client
from tests.features.banks import NEWEST_DAY
from tests.training.banks import write_bank

from .reasons_fixtures import check_chinese, check_wellformed, policy_with

PRODUCTS = [
    ("current", "Current account", "活期存款", "deposits", "both"),
    ("time", "Time deposit", "定期存款", "deposits", "both"),
    ("fund", "Mixed fund", "", "funds", "retail"),
    ("money_fund", "Money fund", "货币基金", "funds", "retail"),
    ("loan", "Car loan", "汽车贷款", "loans", "retail"),
    ("pool", "Cash pool", "资金池", "deposits", "corporate"),
    ("payroll", "Payroll account", "代发工资", "settlement", "both"),
]


def build_bank(folder: Path) -> Path:
    """A workspace in `folder`: customers of whom much is known, and others who are their partners."""
    products = [
        dict(zip(("product_id", "name", "name_zh", "family", "customer_kind"), row, strict=True)) for row in PRODUCTS
    ]
    person = {
        "customer_id": "ann", "kind": "retail", "birth_date": "1964-07-09", "founded_on": "", "tier": "vip",
        "risk_level": "C3", "risk_assessed_on": "2024-01-05", "onboarded_on": "2019-03-20", "income": "12300",
        "gender": "F", "region": "Zhejiang", "life_stage": "young_family", "channel_preference": "mobile",
        "employees": "", "pets": "2", "favourite_colour": "deep_blue",
    }  # fmt: skip
    firm = dict.fromkeys(person, "") | {
        "customer_id": "firm", "kind": "corporate", "founded_on": "2012-01-31", "employees": "1200",
    }  # fmt: skip
    shop = dict.fromkeys(person, "") | {"customer_id": "shop", "kind": "retail"}
    partners = [dict.fromkeys(person, "") | {"customer_id": f"p{n}", "kind": "retail"} for n in range(6)]

    def account(customer, product, opened, closed="", matures=""):
        return {
            "account_id": f"{customer}-{product}-{opened}", "customer_id": customer, "product_id": product,
            "opened_on": opened, "closed_on": closed, "matures_on": matures,
        }  # fmt: skip

    accounts = [
        account("ann", "current", "2019-03-20"),
        account("ann", "time", "2023-05-03", matures="2024-07-12"),
        account("ann", "fund", "2023-01-10", "2024-04-20"),
        account("ann", "loan", "2021-06-01"),
        account("ann", "payroll", "2024-05-15"),
        account("firm", "current", "2024-06-04"),
        *(account(f"p{n}", "time" if n < 3 else "current", "2022-01-05") for n in range(6)),
    ]
    balances = {
        "current": (61_700, 89_420, 123_400), "time": (100_000, 200_000, 200_000), "loan": (60_000, 60_000, 12_000),
    }  # fmt: skip
    rows = [
        {"customer_id": "ann", "product_id": product, "period": month, "average_balance": amount}
        for product, amounts in balances.items()
        for month, amount in zip(("2024-02", "2024-03", "2024-06"), amounts, strict=True)
    ]  # fmt: skip
    activity = [
        {
            "customer_id": "ann", "period": month, "channel": "mobile", "count": count, "inflow": inflow,
            "outflow": "100",
        }
        for month, count, inflow in (
            ("2024-03", "2", "10000"), ("2024-04", "2", "10000"), ("2024-05", "3", "10000"), ("2024-06", "14", "50000"),
        )
    ]  # fmt: skip
    payments = [
        {"payer_id": customer, "payee_id": f"p{n}", "period": month, "count": "1", "amount": "2500"}
        for customer, month, partners_then in (
            ("ann", "2024-06", range(6)), ("firm", "2024-06", range(4)),
            ("shop", "2024-01", range(3)), ("shop", "2024-06", range(3, 6)),
        )
        for n in partners_then
    ]  # fmt: skip
    contacts = [
        {
            "contact_id": "1", "customer_id": "ann", "product_id": "fund", "channel": "rm",
            "contacted_on": "2024-03-27", "arm": "treated", "outcome": "accepted", "outcome_on": "2024-03-28",
        }
    ]  # fmt: skip
    write_bank(
        folder / "tables",
        {
            "customers": [person, firm, shop, *partners], "products": products, "accounts": accounts, "balances": rows,
            "activity": activity, "payments": payments, "contacts": contacts,
        },
    )  # fmt: skip
    build_states(folder / "tables", folder / "workspace", as_of=NEWEST_DAY)
    return folder / "workspace"


def compiled(states: CustomerStates) -> CompiledPolicy:
    """A policy that says everything, made once for `states`."""
    return states.derived(_compile)


def _compile(states: CustomerStates) -> CompiledPolicy:
    return CompiledPolicy.of(policy_with(), states, states.as_of_period, np.full(len(states.catalogue), 500))


def client_of(states: CustomerStates, position: int, **values: float) -> Client:
    """A customer, some features changed."""
    block = block_of(states, np.array([position]), states.as_of_period)
    policy = compiled(states)
    even = np.full(block.words.shape, 0.1, dtype=np.float32)
    context = Context("rm", states.calendar.end_of(states.as_of_period))
    decisions = decide(even, block, policy, context, limit=3)
    client = Client(block, 0, decisions.facts, Topics.of(states))
    client.values = block.features[0].copy()
    for name, value in values.items():
        client.values[feature_set_of(states).names.index(name)] = value
    return client


def sentence(topic, client, product, added):
    """What is said of `topic`; None: nothing."""
    return SENTENCES[topic.subject](topic, client, product, added)


def say(states, customer: str, offered: str, features: dict[str, float], **values: float):
    """What is said when `features` add what they do to the log-odds of `offered`."""
    names = feature_set_of(states).names
    added = np.zeros(len(names))
    for name, value in features.items():
        added[names.index(name)] = value
    (topic,) = (topic for topic in Topics.of(states).topics if added[topic.columns].any())
    client = client_of(states, states.position_of(customer), **values)
    said = sentence(topic, client, states.catalogue.position_of(offered), added)
    if said is not None:
        check_wellformed(*said)
        check_chinese(said.text_zh, {"Mixed fund", "deep blue", "pets", "favourite colour", "C3"})
    return said


SPECIAL = [np.nan, 0.0, -0.0, 0.4, 1.0, -1.0, 2.0, 63.0, 64.0, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-30]


def values_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """Numbers of any size and sign, many of them special; not drawn by hypothesis, which libraries that flush
    subnormals confuse."""
    sizes = rng.choice([1.0, 1.0, -1.0], n) * 10 ** rng.uniform(-3, 12, n)
    return np.where(rng.random(n) < 0.4, rng.choice(SPECIAL, n), np.round(sizes, 1)).astype(np.float32)
