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
    """One column of a table. A column that is not `required` may be absent or empty. `docs/contract.md` shows what it
    means."""

    name: str
    type: Type
    meaning: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: what a row of it is, its key, its columns, and whether a bank must bring it.

    `open_ended` tables may have further columns, which become attributes.
    """

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = False
    open_ended: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the contract's columns, in order."""
        return tuple(column.name for column in self.columns)


def _required(name: str, type_: Type, meaning: str, choices: tuple[str, ...] = ()) -> Column:
    return Column(name, type_, meaning, required=True, choices=choices)


def _optional(name: str, type_: Type, meaning: str, choices: tuple[str, ...] = ()) -> Column:
    return Column(name, type_, meaning, choices=choices)


_RECORDED = "The day on which the bank learned of it; empty: the day on which it happened."

CUSTOMERS = Table(
    "customers",
    "A customer, or what was known of one from a day on.",
    (CUSTOMER_ID, VALID_FROM),
    (
        _required(CUSTOMER_ID, Type.ID, "The customer."),
        _required(KIND, Type.TEXT, "Whether the customer is a person or a company.", KINDS),
        _optional(VALID_FROM, Type.DATE, "The day from which this row holds; empty: from the beginning."),
        _optional(BIRTH_DATE, Type.DATE, "Of a person: for ages, age bands and birthdays."),
        _optional(FOUNDED_ON, Type.DATE, "Of a company: for its age."),
        _optional("gender", Type.TEXT, "Of a person; never spoken in a reason."),
        _optional("region", Type.TEXT, "Where the customer is."),
        _optional(BRANCH_ID, Type.ID, "The branch; its team lead sees the customer."),
        _optional(RM_ID, Type.ID, "The relationship manager, who sees the customer."),
        _optional(TIER, Type.TEXT, "The bank's own grade of the customer; the policy puts the grades in order."),
        _optional(RISK_LEVEL, Type.TEXT, "The risk that the customer tolerates.", RISK_LEVELS),
        _optional("risk_assessed_on", Type.DATE, "The day of the risk assessment."),
        _optional("risk_expires_on", Type.DATE, "The last day on which the assessment holds."),
        _optional(ONBOARDED_ON, Type.DATE, "The day on which the customer came to the bank."),
        _optional("income", Type.NUMBER, "Income on record, in the bank's currency."),
        _optional("parent_id", Type.ID, "Of a company: the company it belongs to."),
    ),
    required=True,
    open_ended=True,
)

PRODUCTS = Table(
    "products",
    "A product that the bank sells or sold.",
    (PRODUCT_ID,),
    (
        _required(PRODUCT_ID, Type.ID, "The product."),
        _required(NAME, Type.TEXT, "What people call it, in English."),
        _optional(NAME_ZH, Type.TEXT, "What people call it, in Chinese; empty: as in English."),
        _required(FAMILY, Type.TEXT, "The group it belongs to; policies and contact rules speak of families."),
        _required(CUSTOMER_KIND, Type.TEXT, "The kind of customers it is sold to.", (*KINDS, "both")),
        _optional(RISK_RATING, Type.TEXT, "The seller's rating of its risk.", RISK_RATINGS),
        _optional("issuer_risk_rating", Type.TEXT, "The issuer's; the higher of both counts.", RISK_RATINGS),
        _optional("on_sale_from", Type.DATE, "The first day of its sale; empty: always."),
        _optional("on_sale_to", Type.DATE, "The last day of its sale; empty: for ever."),
        _optional(ANNUAL_MARGIN, Type.NUMBER, "What a typical holding of it earns in a year, in the bank's currency."),
        _optional("contact_minutes", Type.NUMBER, "Minutes that a contact about it takes; empty: none are counted."),
        _optional("min_age", Type.NUMBER, "The least age of a customer, in completed years."),
        _optional("max_age", Type.NUMBER, "The highest age of a customer, in completed years."),
        _optional("min_tier", Type.TEXT, "The lowest tier of a customer, in the order of the policy."),
        _optional("min_balance", Type.NUMBER, "The least assets of a customer, in the bank's currency."),
        _optional("requires", Type.LIST, "The products that have to be held before it."),
        _optional("excludes", Type.LIST, "The products beside which it is not sold."),
        _optional("repeatable", Type.FLAG, "Whether a customer may hold it more than once; not used yet."),
    ),
    required=True,
)

ACCOUNTS = Table(
    "accounts",
    "An account: a customer holds a product for a time.",
    (ACCOUNT_ID,),
    (
        _required(ACCOUNT_ID, Type.ID, "The account."),
        _required(CUSTOMER_ID, Type.ID, "Whose it is."),
        _required(PRODUCT_ID, Type.ID, "What is held."),
        _optional(OPENED_ON, Type.DATE, "The day of opening; empty: held from the beginning, never an acquisition."),
        _optional(CLOSED_ON, Type.DATE, "The day of closing; empty: still open."),
        _optional(MATURES_ON, Type.DATE, "The day on which it matures; it may lie ahead."),
        _optional(RECORDED_ON, Type.DATE, _RECORDED),
    ),
    required=True,
)

BALANCES = Table(
    "balances",
    "What a customer had in a product in a period.",
    (CUSTOMER_ID, PRODUCT_ID, PERIOD),
    (
        _required(CUSTOMER_ID, Type.ID, "Whose it is."),
        _required(PRODUCT_ID, Type.ID, "What it is in."),
        _required(PERIOD, Type.PERIOD, "The period."),
        _required("average_balance", Type.NUMBER, "The mean over the days of the period, in the bank's currency."),
        _optional("closing_balance", Type.NUMBER, "What there was at its end; not used yet."),
    ),
)

ACTIVITY = Table(
    "activity",
    "What a customer did through a channel in a period.",
    (CUSTOMER_ID, PERIOD, CHANNEL),
    (
        _required(CUSTOMER_ID, Type.ID, "Whose it is."),
        _required(PERIOD, Type.PERIOD, "The period."),
        _required(CHANNEL, Type.TEXT, "How the customer came: the bank's own word, such as branch or mobile."),
        _required("count", Type.INTEGER, "How many transactions there were."),
        _optional("inflow", Type.NUMBER, "The money that came in, in the bank's currency."),
        _optional("outflow", Type.NUMBER, "The money that went out, in the bank's currency."),
    ),
)

PAYMENTS = Table(
    "payments",
    "What one company paid another in a period; one of the two may be with another bank.",
    ("payer_id", "payee_id", PERIOD),
    (
        _required("payer_id", Type.ID, "Who paid."),
        _required("payee_id", Type.ID, "Who was paid."),
        _required(PERIOD, Type.PERIOD, "The period."),
        _required("count", Type.INTEGER, "How many payments there were."),
        _required("amount", Type.NUMBER, "What was paid in all, in the bank's currency."),
    ),
)

CONTACTS = Table(
    "contacts",
    "A contact with a customer about a product, or one held back to see what contacts change.",
    ("contact_id",),
    (
        _required("contact_id", Type.ID, "The contact."),
        _required(CUSTOMER_ID, Type.ID, "With whom."),
        _required(PRODUCT_ID, Type.ID, "About what."),
        _required(CHANNEL, Type.TEXT, "Through which channel, by the name that the policy has for it."),
        _required("contacted_on", Type.DATE, "The day of the contact, or on which it would have been made."),
        _optional("campaign_id", Type.ID, "The campaign, if it was one."),
        _required("arm", Type.TEXT, "Whether it was made, or held back by lot.", ARMS),
        _optional("propensity_of_arm", Type.NUMBER, "The probability with which the lot gave this arm."),
        _optional("outcome", Type.TEXT, "What the customer said.", OUTCOMES),
        _optional("outcome_on", Type.DATE, "The day on which the customer said so."),
        _optional(RECORDED_ON, Type.DATE, _RECORDED),
    ),
)

CONSENTS = Table(
    "consents",
    "An answer of a customer to a question of consent.",
    (CUSTOMER_ID, "purpose", CHANNEL, "changed_on"),
    (
        _required(CUSTOMER_ID, Type.ID, "Whose answer it is."),
        _required("purpose", Type.TEXT, "What was asked for.", PURPOSES),
        _optional(CHANNEL, Type.TEXT, "The channel it is about; empty: all of them."),
        _required("granted", Type.FLAG, "Whether the customer agreed."),
        _required("changed_on", Type.DATE, "The day of the answer."),
        _optional(RECORDED_ON, Type.DATE, _RECORDED),
    ),
)

COMPLAINTS = Table(
    "complaints",
    "A complaint of a customer.",
    ("complaint_id",),
    (
        _required("complaint_id", Type.ID, "The complaint."),
        _required(CUSTOMER_ID, Type.ID, "Whose it is."),
        _required(OPENED_ON, Type.DATE, "The day on which the customer complained."),
        _optional("resolved_on", Type.DATE, "The day on which it was resolved; empty: it is open."),
        _optional("severity", Type.TEXT, "The bank's own word for how grave it is."),
        _optional(RECORDED_ON, Type.DATE, _RECORDED),
    ),
)

OCCASIONS = Table(
    "occasions",
    "A product at a moment at which a customer chose. Models are judged by such moments where there are any.",
    ("occasion_id", PRODUCT_ID),
    (
        _required("occasion_id", Type.ID, "The moment; it has a row for each product."),
        _required(PRODUCT_ID, Type.ID, "A product of the catalogue."),
        _required(CUSTOMER_ID, Type.ID, "Who chose."),
        _required("at", Type.MOMENT, "Date and time."),
        _required("buyable", Type.FLAG, "Whether the customer could have bought it then."),
        _required("bought", Type.FLAG, "Whether the customer bought it."),
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
