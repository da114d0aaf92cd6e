"""The input contract: the tables a bank brings, their columns, types and keys.

Column names are written here once and imported everywhere else. Contacts and consents may also lie in a workspace's
inbox, in the same form (`features.sources.inbox`).
"""

from dataclasses import dataclass
from enum import StrEnum

LONGEST_ID = 200
"""Characters that the id of a customer or a product may have."""

CUSTOMER_ID = "customer_id"
PRODUCT_ID = "product_id"
ACCOUNT_ID = "account_id"
KIND = "kind"
BIRTH_DATE = "birth_date"
FOUNDED_ON = "founded_on"
TIER = "tier"
RM_ID = "rm_id"
BRANCH_ID = "branch_id"
RISK_LEVEL = "risk_level"
VALID_FROM = "valid_from"
ONBOARDED_ON = "onboarded_on"
OPENED_ON = "opened_on"
CLOSED_ON = "closed_on"
MATURES_ON = "matures_on"
RECORDED_ON = "recorded_on"
PERIOD = "period"
CHANNEL = "channel"
FAMILY = "family"
NAME = "name"
NAME_ZH = "name_zh"
CUSTOMER_KIND = "customer_kind"
RISK_RATING = "risk_rating"
ANNUAL_MARGIN = "annual_margin"

KINDS = ("retail", "corporate")
RISK_LEVELS = ("C1", "C2", "C3", "C4", "C5")
RISK_RATINGS = ("R1", "R2", "R3", "R4", "R5")
ARMS = ("treated", "control")
OUTCOMES = ("accepted", "declined", "later", "no_answer")
PURPOSES = ("marketing", "personalisation")


class Type(StrEnum):
    """What a column holds."""

    ID = "id"
    TEXT = "text"
    DATE = "date"
    PERIOD = "period"  # any date within the period, or YYYY-MM
    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    MOMENT = "moment"  # date and time
    LIST = "list"  # ids, separated by semicolons in CSV


@dataclass(frozen=True)
class Column:
    """One column of a table. A column that is not `required` may be absent or empty."""

    name: str
    type: Type
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: its key, its columns, and whether a bank must bring it.

    `open_ended` tables may have further columns, which become attributes.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = False
    open_ended: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the contract's columns, in order."""
        return tuple(column.name for column in self.columns)


def _required(name: str, type_: Type, choices: tuple[str, ...] = ()) -> Column:
    return Column(name, type_, required=True, choices=choices)


def _optional(name: str, type_: Type, choices: tuple[str, ...] = ()) -> Column:
    return Column(name, type_, choices=choices)


CUSTOMERS = Table(
    "customers",
    (CUSTOMER_ID, VALID_FROM),
    (
        _required(CUSTOMER_ID, Type.ID),
        _required(KIND, Type.TEXT, KINDS),
        _optional(VALID_FROM, Type.DATE),
        _optional(BIRTH_DATE, Type.DATE),
        _optional(FOUNDED_ON, Type.DATE),
        _optional("gender", Type.TEXT),
        _optional("region", Type.TEXT),
        _optional(BRANCH_ID, Type.ID),
        _optional(RM_ID, Type.ID),
        _optional(TIER, Type.TEXT),
        _optional(RISK_LEVEL, Type.TEXT, RISK_LEVELS),
        _optional("risk_assessed_on", Type.DATE),
        _optional("risk_expires_on", Type.DATE),
        _optional(ONBOARDED_ON, Type.DATE),
        _optional("income", Type.NUMBER),
        _optional("parent_id", Type.ID),
    ),
    required=True,
    open_ended=True,
)

PRODUCTS = Table(
    "products",
    (PRODUCT_ID,),
    (
        _required(PRODUCT_ID, Type.ID),
        _required(NAME, Type.TEXT),
        _optional(NAME_ZH, Type.TEXT),
        _required(FAMILY, Type.TEXT),
        _required(CUSTOMER_KIND, Type.TEXT, (*KINDS, "both")),
        _optional(RISK_RATING, Type.TEXT, RISK_RATINGS),
        _optional("issuer_risk_rating", Type.TEXT, RISK_RATINGS),
        _optional("on_sale_from", Type.DATE),
        _optional("on_sale_to", Type.DATE),
        _optional(ANNUAL_MARGIN, Type.NUMBER),
        _optional("contact_minutes", Type.NUMBER),
        _optional("min_age", Type.NUMBER),
        _optional("max_age", Type.NUMBER),
        _optional("min_tier", Type.TEXT),
        _optional("min_balance", Type.NUMBER),
        _optional("requires", Type.LIST),
        _optional("excludes", Type.LIST),
        _optional("repeatable", Type.FLAG),
    ),
    required=True,
)

ACCOUNTS = Table(
    "accounts",
    (ACCOUNT_ID,),
    (
        _required(ACCOUNT_ID, Type.ID),
        _required(CUSTOMER_ID, Type.ID),
        _required(PRODUCT_ID, Type.ID),
        _optional(OPENED_ON, Type.DATE),
        _optional(CLOSED_ON, Type.DATE),
        _optional(MATURES_ON, Type.DATE),
        _optional(RECORDED_ON, Type.DATE),
    ),
    required=True,
)

BALANCES = Table(
    "balances",
    (CUSTOMER_ID, PRODUCT_ID, PERIOD),
    (
        _required(CUSTOMER_ID, Type.ID),
        _required(PRODUCT_ID, Type.ID),
        _required(PERIOD, Type.PERIOD),
        _required("average_balance", Type.NUMBER),
        _optional("closing_balance", Type.NUMBER),
    ),
)

ACTIVITY = Table(
    "activity",
    (CUSTOMER_ID, PERIOD, CHANNEL),
    (
        _required(CUSTOMER_ID, Type.ID),
        _required(PERIOD, Type.PERIOD),
        _required(CHANNEL, Type.TEXT),
        _required("count", Type.INTEGER),
        _optional("inflow", Type.NUMBER),
        _optional("outflow", Type.NUMBER),
    ),
)

PAYMENTS = Table(
    "payments",
    ("payer_id", "payee_id", PERIOD),
    (
        _required("payer_id", Type.ID),
        _required("payee_id", Type.ID),
        _required(PERIOD, Type.PERIOD),
        _required("count", Type.INTEGER),
        _required("amount", Type.NUMBER),
    ),
)

CONTACTS = Table(
    "contacts",
    ("contact_id",),
    (
        _required("contact_id", Type.ID),
        _required(CUSTOMER_ID, Type.ID),
        _required(PRODUCT_ID, Type.ID),
        _required(CHANNEL, Type.TEXT),
        _required("contacted_on", Type.DATE),
        _optional("campaign_id", Type.ID),
        _required("arm", Type.TEXT, ARMS),
        _optional("propensity_of_arm", Type.NUMBER),
        _optional("outcome", Type.TEXT, OUTCOMES),
        _optional("outcome_on", Type.DATE),
        _optional(RECORDED_ON, Type.DATE),
    ),
)

CONSENTS = Table(
    "consents",
    (CUSTOMER_ID, "purpose", CHANNEL, "changed_on"),
    (
        _required(CUSTOMER_ID, Type.ID),
        _required("purpose", Type.TEXT, PURPOSES),
        _optional(CHANNEL, Type.TEXT),
        _required("granted", Type.FLAG),
        _required("changed_on", Type.DATE),
        _optional(RECORDED_ON, Type.DATE),
    ),
)

COMPLAINTS = Table(
    "complaints",
    ("complaint_id",),
    (
        _required("complaint_id", Type.ID),
        _required(CUSTOMER_ID, Type.ID),
        _required(OPENED_ON, Type.DATE),
        _optional("resolved_on", Type.DATE),
        _optional("severity", Type.TEXT),
        _optional(RECORDED_ON, Type.DATE),
    ),
)

OCCASIONS = Table(
    "occasions",
    ("occasion_id", PRODUCT_ID),
    (
        _required("occasion_id", Type.ID),
        _required(PRODUCT_ID, Type.ID),
        _required(CUSTOMER_ID, Type.ID),
        _required("at", Type.MOMENT),
        _required("buyable", Type.FLAG),
        _required("bought", Type.FLAG),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        CUSTOMERS,
        PRODUCTS,
        ACCOUNTS,
        BALANCES,
        ACTIVITY,
        PAYMENTS,
        CONTACTS,
        CONSENTS,
        COMPLAINTS,
        OCCASIONS,
    )
}
