import numpy as np
import pyarrow.parquet as pq
import pytest

from features.contracts import TABLES
from features.sources.synthetic.tables import ATTRIBUTES
from tests.features.sources.synthetic.panel import CALENDAR, TABLE_NAMES, days, last_day_of

WRITTEN = [*TABLE_NAMES, "products"]
PLANNED = {"matures_on", "risk_expires_on", "on_sale_from", "on_sale_to"}  # known in advance


@pytest.mark.parametrize("name", WRITTEN)
def test_columns_are_the_contracts_in_its_order(panel, name):
    attributes = tuple(name for name, _ in ATTRIBUTES) if name == "customers" else ()
    assert tuple(panel.tables[name].columns) == TABLES[name].column_names + attributes


@pytest.mark.parametrize("name", WRITTEN)
def test_required_columns_are_filled_and_choices_kept(panel, name):
    table = panel.tables[name]
    assert len(table) > 0
    for column in TABLES[name].columns:
        if column.required:
            assert table[column.name].notna().all(), column.name
        if column.choices:
            assert set(table[column.name].dropna()) <= set(column.choices), column.name


@pytest.mark.parametrize("name", WRITTEN)
def test_keys_are_unique(panel, name):
    assert not panel.tables[name].duplicated(list(TABLES[name].key)).any()


def test_references_resolve(panel):
    customers, products = set(panel.customer_ids), set(panel.product_ids)
    for name, table in panel.tables.items():
        if name != "customers" and "customer_id" in table:
            assert set(table.customer_id) <= customers, name
        if "product_id" in table:
            assert set(table.product_id) <= products, name
    assert set(panel.payments.payer_id) | set(panel.payments.payee_id) <= customers
    parents = panel.customers.dropna(subset="parent_id")
    assert set(parents.parent_id) <= customers
    assert (parents.parent_id != parents.customer_id).all()
    assert (panel.payments.payer_id != panel.payments.payee_id).all()


def test_nothing_that_happened_is_later_than_the_last_day(panel, bank):
    last = last_day_of(bank)
    for name, table in panel.tables.items():
        for column in table.select_dtypes("datetime").columns.difference(PLANNED):
            assert np.nanmax(days(table[column])) <= last, f"{name}.{column}"


def test_dates_of_accounts_are_in_order(panel):
    accounts = panel.accounts.merge(panel.products[["product_id", "on_sale_from", "on_sale_to"]], on="product_id")
    customers = panel.customers.drop_duplicates("customer_id")[["customer_id", "onboarded_on"]]
    accounts = accounts.merge(customers, on="customer_id")
    assert (accounts.closed_on.isna() | (accounts.closed_on >= accounts.opened_on)).all()
    assert (accounts.matures_on.isna() | (accounts.matures_on > accounts.opened_on)).all()
    assert (accounts.recorded_on >= accounts.opened_on).all()
    assert (accounts.opened_on >= accounts.onboarded_on).all()
    assert (accounts.on_sale_from.isna() | (accounts.opened_on >= accounts.on_sale_from)).all()
    assert (accounts.on_sale_to.isna() | (accounts.opened_on <= accounts.on_sale_to)).all()


def test_products_are_held_by_the_right_kind_of_customer(panel):
    customers = panel.customers.drop_duplicates("customer_id")[["customer_id", "kind"]]
    kinds = panel.accounts.merge(customers, on="customer_id").merge(panel.products, on="product_id")
    assert (kinds.kind == kinds.customer_kind).all()


def test_a_product_has_one_open_account_at_a_time(panel):
    accounts = panel.accounts.sort_values(["customer_id", "product_id", "opened_on"])
    same = accounts.duplicated(["customer_id", "product_id"], keep="first").to_numpy()
    earlier_closed = days(accounts.closed_on)[:-1]
    assert (earlier_closed[same[1:]] <= days(accounts.opened_on)[1:][same[1:]]).all()


def test_matured_products_are_renewed_and_reopened(panel):
    accounts = panel.accounts.sort_values(["customer_id", "product_id", "opened_on"])
    same = accounts.duplicated(["customer_id", "product_id"], keep="first").to_numpy()[1:]
    pause = (days(accounts.opened_on)[1:] - days(accounts.closed_on)[:-1])[same]
    assert (pause == np.timedelta64(0)).any()
    assert (pause > np.timedelta64(0)).any()


def test_balances_are_those_of_what_is_held(panel, bank):
    for period in (bank.first_period, bank.last_period):
        rows = panel.balances[CALENDAR.periods_of(days(panel.balances.period)) == period]
        with_balance = np.isin(panel.product_ids, panel.balances.product_id.unique())
        present = np.zeros_like(panel.held(period))
        present[panel.rows(rows)] = True
        assert (present == panel.held(period) & with_balance).all()
    assert (panel.balances.average_balance >= 0).all()


def test_every_month_has_balances_activity_and_payments(panel, bank):
    months = set(range(bank.first_period, bank.last_period + 1))
    for name in ("balances", "activity", "payments"):
        assert set(CALENDAR.periods_of(days(panel.tables[name].period))) == months, name


def test_a_customers_first_version_is_of_the_day_of_joining(panel):
    versions = panel.customers.sort_values(["customer_id", "valid_from"])
    first = versions.drop_duplicates("customer_id")
    assert (first.valid_from == first.onboarded_on).all()
    by_customer = versions.groupby("customer_id")
    assert (by_customer.tier.nunique() > 1).any()
    assert (by_customer.risk_level.nunique() > 1).any()
    assert (by_customer.onboarded_on.nunique() == 1).all()
    assessed = versions.dropna(subset="risk_assessed_on")
    assert (assessed.risk_assessed_on <= assessed.valid_from).all()


def test_records_have_gaps(panel):
    retail = panel.customers[panel.customers.kind == "retail"]
    shares = retail[["income", "occupation", "risk_level"]].isna().mean()
    assert shares.between(0.03, 0.45).all(), shares
    assert retail.rm_id.isna().eq(retail.tier == "ordinary").all()
    assert panel.customers[panel.customers.kind == "corporate"].rm_id.notna().all()


def test_some_facts_come_to_light_late(panel):
    recorded, opened = days(panel.accounts.recorded_on), days(panel.accounts.opened_on)
    share = (recorded > opened).mean()
    assert abs(share - 0.025) < 4 * np.sqrt(0.025 * 0.975 / len(opened))
    assert (CALENDAR.periods_of(recorded) > CALENDAR.periods_of(opened)).any()
    assert (panel.contacts.recorded_on > panel.contacts.contacted_on).any()
    assert (panel.complaints.recorded_on > panel.complaints.opened_on).any()


def test_refusals_of_marketing_are_respected(panel):
    refused = panel.consents[(panel.consents.purpose == "marketing") & panel.consents.channel.isna()]
    refused = refused[~refused.granted].groupby("customer_id").changed_on.min()
    assert len(refused) > 0
    contacts = panel.contacts.merge(refused.rename("refused_on"), left_on="customer_id", right_index=True)
    assert (contacts.contacted_on < contacts.refused_on).all()


def test_contacts_say_how_they_came_about(panel):
    contacts = panel.contacts
    by_rm = contacts.campaign_id.isna()
    assert (contacts[by_rm].arm == "treated").all()
    assert contacts[by_rm].propensity_of_arm.isna().all()
    assert contacts[~by_rm].propensity_of_arm.between(0.2, 0.8).all()
    assert contacts[contacts.arm == "control"].outcome.isna().all()
    treated = contacts[contacts.arm == "treated"]
    assert set(treated.outcome) == {"accepted", "declined", "later", "no_answer"}
    assert (treated.outcome_on >= treated.contacted_on).all()
    assert not contacts.duplicated(["customer_id", "campaign_id"])[~by_rm].any()


def test_who_accepts_opens_an_account_that_day(panel):
    accepted = panel.contacts[panel.contacts.outcome == "accepted"]
    opened = accepted.merge(
        panel.accounts,
        left_on=["customer_id", "product_id", "outcome_on"],
        right_on=["customer_id", "product_id", "opened_on"],
    )
    assert len(opened) == len(accepted) > 0


def test_repeated_text_is_plain_text_in_the_files(folder):
    schema = pq.read_schema(folder / "tables" / "balances" / "part-00000.parquet")
    assert str(schema.field("customer_id").type) == "string"
    assert str(schema.field("period").type) == "date32[day]"
