"""The coefficients of corporate customers, as tables to be read: who wants what, when, and after what."""
# ruff: noqa: E501 - a row of a table is a line

from __future__ import annotations

from collections.abc import Mapping

from .coefficients import Pairs

# fmt: off
BASES: Mapping[str, float] = {
    "corp_settlement": -3.00, "corp_online_banking": -4.38, "corp_quick_payment": -6.47, "corp_payroll_service": -6.42, "corp_cash_management": -7.24, "corp_cash_pool": -7.58,
    "corp_bill_discounting": -6.73, "corp_bill_pool": -7.27, "corp_working_capital_loan": -6.15, "corp_mortgage_finance": -6.79, "corp_pledge_finance": -6.48, "corp_supply_chain_finance": -6.91,
    "corp_entrusted_loan": -7.82, "corp_entrusted_deposit": -8.69, "corp_wealth": -9.01, "corp_advisory": -7.46,
}

DRIVERS: Mapping[str, Mapping[str, float]] = {
    "corp_settlement": {"newcomer": 0.8, "flow": 0.3},
    "corp_online_banking": {"young_firm": 0.7, "technology": 0.8, "trade": 0.5, "services": 0.4, "agriculture": -0.9, "newcomer": 1.2, "flow": 0.4},
    "corp_quick_payment": {"trade": 1.4, "services": 1.2, "size": -0.5, "counterparties": 0.6, "network_quick": 1.2, "flow": 0.4},
    "corp_payroll_service": {"size": 0.9, "technology": 0.9, "manufacturing": 0.8, "services": 0.6, "agriculture": -0.5, "newcomer": 0.5},
    "corp_cash_management": {"size": 1.2, "vip": 0.7, "flow": 0.7, "counterparties": 0.4, "web": 0.3},
    "corp_cash_pool": {"size": 1.6, "wealth": 1.0, "private": 1.0, "idle": 0.5},
    "corp_bill_discounting": {"manufacturing": 1.8, "trade": 1.3, "construction": 0.6, "idle": -0.8, "flow": 0.5},
    "corp_bill_pool": {"manufacturing": 1.7, "size": 0.8, "trade": 0.9, "flow": 0.5, "network_bill": 1.2},
    "corp_working_capital_loan": {"manufacturing": 0.9, "trade": 1.1, "agriculture": 0.9, "idle": -1.0, "young_firm": -0.5, "counter": 0.3},
    "corp_mortgage_finance": {"construction": 2.2, "manufacturing": 0.8, "idle": -0.5, "young_firm": -1.2, "size": 0.3},
    "corp_pledge_finance": {"technology": 1.4, "trade": 0.9, "agriculture": 0.8, "idle": -0.6, "young_firm": 0.5},
    "corp_supply_chain_finance": {"manufacturing": 1.2, "construction": 1.2, "trade": 0.9, "network_supply": 2.0, "counterparties": 0.8, "idle": -0.5},
    "corp_entrusted_loan": {"private": 1.0, "wealth": 0.6, "idle_high": 0.9, "construction": 0.9, "size": 0.4},
    "corp_entrusted_deposit": {"idle": 1.3, "idle_high": 0.6, "services": 0.6, "vip": 0.5},
    "corp_wealth": {"technology": 1.2, "services": 0.8, "idle": 1.5, "idle_high": 0.6, "web": 0.3, "vip": 0.4},
    "corp_advisory": {"size": 1.0, "technology": 1.4, "wealth": 1.0, "private": 1.2, "young_firm": 0.6},
}

PAIRS = Pairs(
    held={
        ("corp_online_banking", "corp_payroll_service"): 0.8, ("corp_online_banking", "corp_wealth"): 0.7, ("corp_payroll_service", "corp_cash_management"): 0.6,
        ("corp_quick_payment", "corp_cash_management"): 0.6, ("corp_cash_management", "corp_wealth"): 0.6, ("corp_cash_management", "corp_entrusted_deposit"): 0.6, ("corp_cash_pool", "corp_entrusted_loan"): 1.5,
        ("corp_bill_discounting", "corp_bill_pool"): 1.6, ("corp_bill_pool", "corp_bill_discounting"): 0.6, ("corp_working_capital_loan", "corp_bill_discounting"): 0.5,
        ("corp_working_capital_loan", "corp_mortgage_finance"): 0.9, ("corp_working_capital_loan", "corp_supply_chain_finance"): 0.7, ("corp_working_capital_loan", "corp_advisory"): 0.5,
        ("corp_mortgage_finance", "corp_working_capital_loan"): 0.6, ("corp_wealth", "corp_entrusted_deposit"): 0.7,
    },
    opened={
        ("corp_settlement", "corp_online_banking"): 2.0, ("corp_online_banking", "corp_quick_payment"): 1.6, ("corp_online_banking", "corp_payroll_service"): 1.3, ("corp_cash_management", "corp_cash_pool"): 1.7,
        ("corp_bill_discounting", "corp_bill_pool"): 1.4, ("corp_working_capital_loan", "corp_payroll_service"): 1.0, ("corp_advisory", "corp_working_capital_loan"): 1.4, ("corp_cash_management", "corp_wealth"): 1.0,
        ("corp_supply_chain_finance", "corp_quick_payment"): 1.2,
    },
    closed={
        ("corp_wealth", "corp_wealth"): 2.2, ("corp_wealth", "corp_entrusted_deposit"): 1.5, ("corp_bill_discounting", "corp_bill_discounting"): 2.0, ("corp_working_capital_loan", "corp_working_capital_loan"): 2.3,
        ("corp_working_capital_loan", "corp_mortgage_finance"): 1.3, ("corp_entrusted_deposit", "corp_entrusted_deposit"): 1.8, ("corp_entrusted_deposit", "corp_wealth"): 1.5, ("corp_pledge_finance", "corp_pledge_finance"): 2.0,
        ("corp_supply_chain_finance", "corp_supply_chain_finance"): 2.0, ("corp_entrusted_loan", "corp_entrusted_loan"): 1.5,
    },
)

SEASONS: Mapping[str, Mapping[int, float]] = {
    "corp_bill_discounting": {6: 0.4, 12: 0.7}, "corp_working_capital_loan": {1: 0.5, 3: 0.5}, "corp_entrusted_deposit": {6: 0.6, 12: 0.6}, "corp_wealth": {6: 0.4, 12: 0.5, 2: 0.3},
    "corp_payroll_service": {1: 0.4, 7: 0.5}, "corp_supply_chain_finance": {9: 0.4, 10: 0.4}, "corp_advisory": {4: 0.4, 5: 0.3},
}

TASTES: Mapping[str, tuple[str, ...]] = {
    "treasury": ("corp_cash_management", "corp_cash_pool", "corp_wealth", "corp_entrusted_deposit"),
    "borrowing": ("corp_working_capital_loan", "corp_mortgage_finance", "corp_pledge_finance", "corp_supply_chain_finance"),
    "bills": ("corp_bill_discounting", "corp_bill_pool"),
}
# fmt: on
