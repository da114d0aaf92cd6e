"""Who may do what, route by route, and who sees which field of an answer: the table that the tests go through, and that
`docs/service.md` shows."""

from fastapi import FastAPI
from starlette.routing import Route

ROLES = ("rm", "team_lead", "campaign_manager", "analyst", "risk_officer", "administrator")

_TABLE = """
GET /v1/customers/{customer_id}                                  own branch no  no  all all
GET /v1/customers/{customer_id}/recommendations                  own branch all all all all
GET /v1/customers/{customer_id}/products/{product_id}/why-not    own branch no  no  all all
POST /v1/recommendations:batch                                   own branch all all all all
GET /v1/book                                                     own branch no  no  no  all
POST /v1/feedback                                                own branch all no  no  all
POST /v1/events                                                  own branch all no  no  all
GET /v1/decisions/{decision_id}                                  own branch all all all all
POST /v1/decisions/{decision_id}:replay                          own branch all all all all
GET /v1/approvals                                                yes yes yes no yes yes
POST /v1/approvals (consent)                                     own branch all no no all
POST /v1/approvals (policy)                                      no no no no yes yes
GET /v1/approvals/{approval_id} (consent)                        asked branch asked no all asked
GET /v1/approvals/{approval_id} (policy)                         asked asked asked no yes yes
POST /v1/approvals/{approval_id} (consent)                       asked branch asked no all asked
POST /v1/approvals/{approval_id} (policy)                        asked asked asked no yes yes
GET /v1/model                                                    yes yes yes yes yes yes
GET /v1/policy                                                   yes yes yes yes yes yes
POST /v1/admin/swap                                              no no no no no yes
POST /v1/admin/rollback                                          no no no no no yes
GET /metrics                                                     yes yes yes yes yes yes
"""


def _read(table: str) -> dict[str, dict[str, str]]:
    rows = {}
    for line in table.strip().splitlines():
        *route, rm, lead, manager, analyst, officer, administrator = line.split()
        rows[" ".join(route)] = dict(zip(ROLES, (rm, lead, manager, analyst, officer, administrator), strict=True))
    return rows


TABLE = _read(_TABLE)
"""By route, where that matters with the kind of what is asked, and by role. own: customers whose `rm_id` is theirs;
branch: those of their branch; all: all customers; yes: it is about no customer; asked: only what they have asked for
themselves; no: refused, 403."""

PUBLIC = {"GET /healthz", "GET /readyz"}
"""For whoever reaches the service."""
ABOUT_THE_SERVICE = {
    "GET /openapi.json", "GET /docs", "GET /docs/favicon.png", "GET /docs/swagger-ui.css",
    "GET /docs/swagger-ui-bundle.js",
}  # fmt: skip
"""What the service can do, and nothing that it knows: for whoever reaches it, once there is any key."""

SEES_CUSTOMERS = {"rm", "team_lead", "risk_officer", "administrator"}
"""Roles that see the fields which tell of a customer beyond an answer."""

_APPROVAL = "approval_id kind status requested_by requested_at lapses_at content decision may_decide"
FIELDS = {
    "GET /v1/customers/{customer_id}": (
        "",
        """customer_id day known_to kind tier rm_id branch_id onboarded_on profile_since age holdings closed balances
        contacts consents complaints suitability service_actions referrals versions""",
    ),
    "GET /v1/customers/{customer_id}/recommendations": (
        """decision_id customer_id channel day personalised service_actions triggers recommendations versions
        client_asked nothing_because""",
        "",
    ),
    "GET /v1/customers/{customer_id}/products/{product_id}/why-not": (
        "",
        "customer_id product_id layer reason rule detail reasons versions",
    ),
    "POST /v1/recommendations:batch": ("results", ""),
    "GET /v1/book": ("", "rm_id branch_id customers total page size conversations"),
    "POST /v1/feedback": ("feedback_id customer_id repeated deciding counts_from because because_zh", ""),
    "POST /v1/events": ("event_id customer_id day repeated counts_from because because_zh", ""),
    "GET /v1/decisions/{decision_id}": (
        """seq at decision_id caller request_id request day deployment format software versions state exploration answer
        withheld""",
        "excluded factors",
    ),
    "POST /v1/decisions/{decision_id}:replay": (
        """decision_id customer_id channel day personalised service_actions triggers recommendations versions
        client_asked nothing_because""",
        "",
    ),
    "GET /v1/approvals": ("approvals total page size", ""),
    "POST /v1/approvals": (f"{_APPROVAL} repeated", ""),
    "GET /v1/approvals/{approval_id}": (f"{_APPROVAL} policy", ""),
    "POST /v1/approvals/{approval_id}": (f"{_APPROVAL} repeated", ""),
    "GET /v1/model": (
        "version run_id selected models weights protocol horizon trained_to trained_from_states features seed versions",
        "",
    ),
    "GET /v1/policy": ("name owner words document suitability_pack versions", ""),
    "POST /v1/admin/swap": ("number model states policy at by", ""),
    "POST /v1/admin/rollback": ("number model states policy at by", ""),
    "GET /healthz": ("status", ""),
    "GET /readyz": ("status deployment versions warnings", ""),
}
"""Of each answer the fields that whoever may ask sees, and those that only who sees customers does."""

SOMETIMES = {"nothing_because", "client_asked"}
"""Fields of an answer that are there only where there is something to say. `client_asked` answers those who say what a
client asked for, which takes who sees customers."""

STATE_FIELDS = ("features", "position holdings age tier risk_level assets debts events")
"""The same of a decision's `state`."""


def route_of(row: str) -> str:
    """The route of a row, without the kind of what is asked."""
    return row.partition(" (")[0]


def routes_of(app: FastAPI) -> set[str]:
    """Every route of a service, as rows name them."""
    return {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or ()) - {"HEAD"}
    }


def as_markdown() -> str:
    """The table as `docs/service.md` shows it."""
    said = {"no": "–", "all": "all", "own": "own", "branch": "branch", "yes": "yes", "asked": "asked"}
    lines = [f"| route | {' | '.join(ROLES)} |", f"|---|{'---|' * len(ROLES)}"]
    for row, cells in TABLE.items():
        route, _, kind = row.replace(" /v1/", " ").partition(" (")
        named = f"`{route}`" + (f", {kind.rstrip(')')}" if kind else "")
        lines.append(f"| {named} | {' | '.join(said[cells[role]] for role in ROLES)} |")
    return "\n".join(lines)
