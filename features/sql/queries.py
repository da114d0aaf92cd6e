"""The SQL that turns bank tables into sorted arrays, in the subset that DuckDB and Spark share.

Every query reads the typed views of the contract and two small tables made here: ``customer_index`` and
``product_index``, which number customers and products in the order of their ids.
"""

from __future__ import annotations

from ..calendar import Calendar
from ..states.events import NO_CONVERSATION
from ..states.history import NO_DAY

UNKNOWN_PERIOD = -(2**31)
"""The period of what has no date: always known."""

# The day of what has no date: before every other one, yet far enough from int32's end to take differences of days.
_LONG_AGO = "DATE '0001-01-01'"

CUSTOMER_INDEX = """
CREATE OR REPLACE TEMP TABLE customer_index AS
SELECT customer_id, CAST(row_number() OVER (ORDER BY customer_id) - 1 AS BIGINT) AS customer
FROM (SELECT DISTINCT customer_id FROM customers WHERE customer_id IS NOT NULL)
"""

PRODUCT_INDEX = """
CREATE OR REPLACE TEMP TABLE product_index AS
SELECT product_id, CAST(row_number() OVER (ORDER BY product_id) - 1 AS SMALLINT) AS product
FROM (SELECT DISTINCT product_id FROM products WHERE product_id IS NOT NULL)
"""

CUSTOMER_IDS = "SELECT customer_id FROM customer_index ORDER BY customer"

# What bounds the newest period. Closing and maturity dates may lie ahead and births far back: they do not count.
_DATED = (
    ("accounts", "opened_on"),
    ("accounts", "recorded_on"),
    ("balances", "period"),
    ("activity", "period"),
    ("payments", "period"),
    ("contacts", "contacted_on"),
    ("contacts", "recorded_on"),
    ("complaints", "opened_on"),
    ("consents", "changed_on"),
    ("customers", "valid_from"),
    ("customers", "onboarded_on"),
)

NEWEST_FACT = (
    "SELECT max(day) AS day FROM ("
    + " UNION ALL ".join(f"SELECT max({column}) AS day FROM {table}" for table, column in _DATED)
    + ")"
)

_PERIODIC = ("balances", "activity", "payments")


def oldest_periodic_fact(as_of: str) -> str:
    """The first day for which balances, activity or payments say something."""
    days = " UNION ALL ".join(f"SELECT min(period) AS day FROM {table}" for table in _PERIODIC)
    return f"SELECT min(day) AS day FROM ({days}) WHERE day <= DATE '{as_of}'"


IS_DATED = "SELECT count(opened_on) > 0 AS dated FROM accounts"


def exact_sum(value: str) -> str:
    """SQL for the sum of the amounts `value`, the same in whichever order an engine's threads add them up."""
    return f"sum(TRY_CAST({value} AS DECIMAL(38, 8)))"


def days_since_epoch(day: str) -> str:
    """SQL for the days between 1970-01-01 and the date expression `day`."""
    return f"datediff('day', DATE '1970-01-01', {day})"


def profile(calendar: Calendar, columns: list[str], joins: list[str], as_of: str) -> str:
    """Versions of customers sorted by customer and date; `columns` and `joins` come from the profile's layout."""
    return f"""
    SELECT i.customer, coalesce({calendar.sql_period("c.valid_from")}, {UNKNOWN_PERIOD}) AS valid_from,
        {", ".join(columns)}
    FROM customers c JOIN customer_index i ON i.customer_id = c.customer_id {" ".join(joins)}
    WHERE c.valid_from IS NULL OR c.valid_from <= DATE '{as_of}'
    ORDER BY i.customer, c.valid_from NULLS FIRST
    """


def vocabulary(table: str, column: str) -> str:
    """The distinct texts of a column, in order."""
    return f'SELECT DISTINCT "{column}" AS word FROM {table} WHERE "{column}" IS NOT NULL ORDER BY 1'


def profile_vocabulary(column: str, as_of: str) -> str:
    """The texts of a column of customers by first appearance, so that a text's rank never depends on later ones.

    A version is known from its ``valid_from``, but not before its customer was.
    """
    known = f"greatest(coalesce(valid_from, {_LONG_AGO}), coalesce(onboarded_on, {_LONG_AGO}))"
    return f"""
    SELECT "{column}" AS word FROM customers
    WHERE "{column}" IS NOT NULL AND (valid_from IS NULL OR valid_from <= DATE '{as_of}')
    GROUP BY 1 ORDER BY min({known}), 1
    """


def accounts(calendar: Calendar, as_of_period: int, as_of: str) -> str:
    """Accounts known at `as_of`, sorted by customer and product, with ages in periods (-1: no date).

    ``opened_day`` counts from the first day of its period; `NO_DAY` where there is none, or closing was not later.
    """
    opened, closed = calendar.sql_period("a.opened_on"), calendar.sql_period("a.closed_on")
    recorded = calendar.sql_period("greatest(coalesce(a.recorded_on, a.opened_on), a.opened_on)")
    unrecorded = calendar.sql_period("a.recorded_on")
    return f"""
    SELECT i.customer, p.product,
        CAST(coalesce({as_of_period} - {opened}, -1) AS INTEGER) AS opened_age,
        CAST(CASE WHEN a.closed_on <= DATE '{as_of}' THEN {as_of_period} - {closed} ELSE -1 END AS INTEGER)
            AS closed_age,
        CAST(CASE WHEN a.opened_on IS NULL OR a.closed_on <= a.opened_on THEN {NO_DAY}
            ELSE {calendar.sql_day_within("a.opened_on")} END AS SMALLINT) AS opened_day,
        CAST(coalesce({recorded}, {unrecorded}, {UNKNOWN_PERIOD}) AS INTEGER) AS recorded_period
    FROM accounts a
    JOIN customer_index i ON i.customer_id = a.customer_id
    JOIN product_index p ON p.product_id = a.product_id
    WHERE (a.opened_on IS NULL OR a.opened_on <= DATE '{as_of}')
      AND (a.recorded_on IS NULL OR a.recorded_on <= DATE '{as_of}')
    ORDER BY i.customer, p.product
    """


def balances(calendar: Calendar, as_of_period: int, depth: int) -> str:
    """Average balances by customer, product and age, sorted."""
    age = f"{as_of_period} - {calendar.sql_period('b.period')}"
    return f"""
    SELECT i.customer, p.product AS key, CAST({age} AS INTEGER) AS age,
        CAST(sum(b.average_balance) AS FLOAT) AS value
    FROM balances b
    JOIN customer_index i ON i.customer_id = b.customer_id
    JOIN product_index p ON p.product_id = b.product_id
    WHERE {age} >= 0 AND {age} < {depth} AND b.average_balance IS NOT NULL
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """


def activity(calendar: Calendar, as_of_period: int, depth: int) -> str:
    """Event counts by customer, channel and age, sorted; keys number the channels in order of name."""
    age = f"{as_of_period} - {calendar.sql_period('a.period')}"
    return f"""
    SELECT i.customer, CAST(v.code AS SMALLINT) AS key, CAST({age} AS INTEGER) AS age,
        CAST(sum(a.count) AS FLOAT) AS value
    FROM activity a
    JOIN customer_index i ON i.customer_id = a.customer_id
    JOIN channel_words v ON v.word = a.channel
    WHERE {age} >= 0 AND {age} < {depth}
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """


FLOW_KEYS = ("inflow", "outflow")


def flows(calendar: Calendar, as_of_period: int, depth: int) -> str:
    """Money in (key 0) and out (key 1) by customer and age, over all channels, sorted."""
    age = f"{as_of_period} - {calendar.sql_period('a.period')}"
    sides = " UNION ALL ".join(
        f"SELECT customer_id, CAST({key} AS SMALLINT) AS key, {age} AS age, {name} AS value FROM activity a"
        for key, name in enumerate(FLOW_KEYS)
    )
    return f"""
    SELECT i.customer, f.key, CAST(f.age AS INTEGER) AS age, CAST({exact_sum("f.value")} AS FLOAT) AS value
    FROM ({sides}) f JOIN customer_index i ON i.customer_id = f.customer_id
    WHERE f.age >= 0 AND f.age < {depth} AND f.value IS NOT NULL
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """


PAYMENT_KEYS = ("payees", "paid", "payers", "received")


def payments(calendar: Calendar, as_of_period: int, depth: int) -> str:
    """Counterparties and amounts, out (keys 0 and 1) and in (keys 2 and 3), by customer and age, sorted."""
    age = f"{as_of_period} - {calendar.sql_period('p.period')}"
    sides = " UNION ALL ".join(
        f"SELECT {side} AS customer_id, {age} AS age, CAST({key} AS SMALLINT) AS key, CAST({value} AS FLOAT) AS value "
        f"FROM payments p GROUP BY 1, 2"
        for key, (side, value) in enumerate(
            (
                ("payer_id", "count(DISTINCT payee_id)"),
                ("payer_id", exact_sum("amount")),
                ("payee_id", "count(DISTINCT payer_id)"),
                ("payee_id", exact_sum("amount")),
            )
        )
    )
    return f"""
    SELECT i.customer, s.key, CAST(s.age AS INTEGER) AS age, s.value
    FROM ({sides}) s JOIN customer_index i ON i.customer_id = s.customer_id
    WHERE s.age >= 0 AND s.age < {depth} AND s.value IS NOT NULL
    ORDER BY 1, 2, 3
    """


def partners(calendar: Calendar, as_of_period: int, depth: int) -> str:
    """Payment partners in either direction: customer, partner, age of the month they paid, sorted."""
    age = f"{as_of_period} - {calendar.sql_period('p.period')}"
    return f"""
    SELECT DISTINCT i.customer, j.customer AS partner, CAST(s.age AS INTEGER) AS age
    FROM (
        SELECT payer_id AS customer_id, payee_id AS partner_id, {age} AS age FROM payments p
        UNION ALL
        SELECT payee_id AS customer_id, payer_id AS partner_id, {age} AS age FROM payments p
    ) s
    JOIN customer_index i ON i.customer_id = s.customer_id
    JOIN customer_index j ON j.customer_id = s.partner_id
    WHERE s.age >= 0 AND s.age < {depth} AND i.customer <> j.customer
    ORDER BY 1, 2, 3
    """


def contacts(as_of: str, never: int) -> str:
    """Contacts known at `as_of`, sorted by customer and day; days since 1970, `never` where there is none."""
    known = "greatest(coalesce(c.recorded_on, c.contacted_on), c.contacted_on)"
    outcome_known = f"greatest(coalesce(c.outcome_on, {known}), {known})"
    return f"""
    SELECT i.customer,
        CAST({days_since_epoch("c.contacted_on")} AS INTEGER) AS happened_on,
        CAST({days_since_epoch(known)} AS INTEGER) AS known_on,
        CAST(coalesce(p.product, -1) AS SMALLINT) AS product,
        CAST(coalesce(v.code, -1) AS SMALLINT) AS channel,
        CAST(coalesce(g.code, -1) AS INTEGER) AS campaign,
        CAST(CASE WHEN c.arm = 'control' THEN 0 ELSE 1 END AS SMALLINT) AS treated,
        CAST(coalesce(c.propensity_of_arm, 'nan') AS FLOAT) AS propensity_of_arm,
        CAST(coalesce(o.code, -1) AS SMALLINT) AS outcome,
        CAST(CASE WHEN o.code IS NULL THEN {never} ELSE {days_since_epoch(outcome_known)} END AS INTEGER)
            AS outcome_known_on,
        CAST(coalesce(n.code, {NO_CONVERSATION}) AS BIGINT) AS conversation
    FROM contacts c
    JOIN customer_index i ON i.customer_id = c.customer_id
    LEFT JOIN product_index p ON p.product_id = c.product_id
    LEFT JOIN contact_channel_words v ON v.word = c.channel
    LEFT JOIN campaign_words g ON g.word = c.campaign_id
    LEFT JOIN outcome_words o ON o.word = c.outcome
    LEFT JOIN conversation_words n ON n.word = c.conversation
    WHERE c.contacted_on IS NOT NULL AND {known} <= DATE '{as_of}'
    ORDER BY i.customer, c.contacted_on, c.contact_id, c.conversation NULLS FIRST
    """


def consents(as_of: str) -> str:
    """Changes of consent known at `as_of`, sorted by customer and day."""
    known = "greatest(coalesce(c.recorded_on, c.changed_on), c.changed_on)"
    return f"""
    SELECT i.customer,
        CAST({days_since_epoch("c.changed_on")} AS INTEGER) AS happened_on,
        CAST({days_since_epoch(known)} AS INTEGER) AS known_on,
        CAST(coalesce(u.code, -1) AS SMALLINT) AS purpose,
        CAST(coalesce(v.code, -1) AS SMALLINT) AS channel,
        CAST(CASE WHEN c.granted THEN 1 ELSE 0 END AS SMALLINT) AS granted
    FROM consents c
    JOIN customer_index i ON i.customer_id = c.customer_id
    LEFT JOIN purpose_words u ON u.word = c.purpose
    LEFT JOIN consent_channel_words v ON v.word = c.channel
    WHERE c.changed_on IS NOT NULL AND {known} <= DATE '{as_of}'
    ORDER BY i.customer, c.changed_on, u.code, v.code NULLS FIRST, known_on, granted
    """


def complaints(as_of: str, never: int) -> str:
    """Complaints known at `as_of`, sorted by customer and day."""
    known = "greatest(coalesce(c.recorded_on, c.opened_on), c.opened_on)"
    return f"""
    SELECT i.customer,
        CAST({days_since_epoch("c.opened_on")} AS INTEGER) AS happened_on,
        CAST({days_since_epoch(known)} AS INTEGER) AS known_on,
        CAST(coalesce({days_since_epoch("c.resolved_on")}, {never}) AS INTEGER) AS resolved_on,
        CAST(coalesce(v.code, -1) AS SMALLINT) AS severity
    FROM complaints c
    JOIN customer_index i ON i.customer_id = c.customer_id
    LEFT JOIN severity_words v ON v.word = c.severity
    WHERE c.opened_on IS NOT NULL AND {known} <= DATE '{as_of}'
    ORDER BY i.customer, c.opened_on, c.complaint_id
    """


def maturities(as_of: str, never: int, oldest: str) -> str:
    """Accounts known at `as_of` that mature on `oldest` or later, sorted by customer and day of maturity.

    Days since 1970. An account without ``opened_on`` opened, and without ``recorded_on`` was known, on the first day
    of the year 1. A closing is known on its day: `never` where it lies after `as_of` or has not happened.
    """
    opened = f"coalesce(a.opened_on, {_LONG_AGO})"
    known = f"greatest(coalesce(a.recorded_on, {opened}), {opened})"
    return f"""
    SELECT i.customer,
        CAST({days_since_epoch(opened)} AS INTEGER) AS happened_on,
        CAST({days_since_epoch(known)} AS INTEGER) AS known_on,
        p.product,
        CAST({days_since_epoch("a.matures_on")} AS INTEGER) AS matures_on,
        CAST(CASE WHEN a.closed_on <= DATE '{as_of}' THEN {days_since_epoch("a.closed_on")} ELSE {never} END AS INTEGER)
            AS closed_on
    FROM accounts a
    JOIN customer_index i ON i.customer_id = a.customer_id
    JOIN product_index p ON p.product_id = a.product_id
    WHERE a.matures_on >= DATE '{oldest}' AND {known} <= DATE '{as_of}'
    ORDER BY i.customer, a.matures_on, a.account_id
    """


OCCASIONS = """
SELECT o.occasion_id, i.customer, p.product, o.at, o.buyable, o.bought
FROM occasions o
JOIN customer_index i ON i.customer_id = o.customer_id
JOIN product_index p ON p.product_id = o.product_id
WHERE o.at IS NOT NULL
ORDER BY o.at, o.occasion_id, p.product
"""
