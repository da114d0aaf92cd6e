"""Two banks small enough to know every label by eye."""

from pathlib import Path

from features.build import build_states

from .banks import write_bank

PRODUCTS = [
    {"product_id": "card", "name": "Card", "name_zh": "信用卡", "family": "cards", "customer_kind": "both"},
    {"product_id": "fund", "name": "Fund", "name_zh": "基金", "family": "funds", "customer_kind": "both"},
    {"product_id": "loan", "name": "Loan", "name_zh": "贷款", "family": "loans", "customer_kind": "both"},
    {"product_id": "pool", "name": "Pool", "name_zh": "现金池", "family": "cash", "customer_kind": "corporate"},
    {
        "product_id": "stamp",
        "name": "Stamp book",
        "name_zh": "邮票",
        "family": "old",
        "customer_kind": "both",
        "on_sale_from": "2020-01-01",
        "on_sale_to": "2024-03-30",
    },
]

CUSTOMERS = [
    {"customer_id": "ann", "kind": "retail", "onboarded_on": "2023-12-01", "rm_id": "r1", "branch_id": "b1"},
    {"customer_id": "bob", "kind": "retail", "onboarded_on": "2023-12-01", "rm_id": "r1", "branch_id": "b1"},
    {"customer_id": "cat", "kind": "retail", "onboarded_on": "2023-12-01", "rm_id": "r2", "branch_id": "b1"},
    {"customer_id": "firm", "kind": "corporate", "onboarded_on": "2024-02-01", "rm_id": "r3", "branch_id": "b2"},
]

# customer, product, opened, closed, recorded
ACCOUNTS = [
    ("ann", "card", "2023-12-10", "", ""),
    ("ann", "fund", "2024-03-15", "", ""),
    ("ann", "loan", "2024-05-03", "2024-05-20", ""),  # opened and closed within a month: acquired all the same
    ("ann", "stamp", "2024-05-10", "", ""),  # no longer on sale: could not be suggested
    ("bob", "card", "2024-02-10", "2024-04-20", ""),
    ("bob", "card", "2024-06-05", "", ""),  # acquired again, as seen from any date at which it was not held
    ("bob", "fund", "2024-01-31", "", ""),
    ("cat", "fund", "2024-04-01", "", ""),
    ("cat", "loan", "2024-04-30", "", "2024-06-02"),  # the bank knew only in June
    ("firm", "pool", "2024-05-15", "", ""),
]


def build_hand_bank(workspace: Path) -> None:
    """Dated holdings of four customers, December 2023 to June 2024."""
    tables = write_bank(
        workspace / "tables",
        {
            "customers": CUSTOMERS,
            "products": PRODUCTS,
            "accounts": [
                {
                    "account_id": f"a{number}",
                    "customer_id": customer,
                    "product_id": product,
                    "opened_on": opened,
                    "closed_on": closed,
                    "recorded_on": recorded,
                }
                for number, (customer, product, opened, closed, recorded) in enumerate(ACCOUNTS)
            ],
        },
    )
    build_states(tables, workspace)


HOLDINGS = {
    "u1": ("card", "fund"),
    "u2": ("card",),
    "u3": ("card", "fund", "loan"),
    "u4": (),
    "u5": ("loan", "stamp"),  # stamp is no longer on sale
}


def build_undated_bank(workspace: Path, without: tuple[str, str] | None = None) -> None:
    """Holdings without dates, and a balance for each of them; `without` one customer's product, balance and all."""
    pairs = [(customer, product) for customer, held in HOLDINGS.items() for product in held]
    pairs = [pair for pair in pairs if pair != without]
    tables = write_bank(
        workspace / "tables",
        {
            "customers": [{"customer_id": customer, "kind": "retail"} for customer in HOLDINGS],
            "products": PRODUCTS,
            "accounts": [
                {"account_id": f"{customer}-{product}", "customer_id": customer, "product_id": product, "opened_on": ""}
                for customer, product in pairs
            ],
            "balances": [
                {"customer_id": customer, "product_id": product, "period": "2024-06", "average_balance": "100"}
                for customer, product in pairs
            ],
        },
    )
    build_states(tables, workspace)
