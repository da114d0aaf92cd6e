"""The coefficients of retail customers, as tables to be read: who wants what, when, and after what."""
# ruff: noqa: E501 - a row of a table is a line

from __future__ import annotations

from collections.abc import Mapping

from .coefficients import Pairs

# fmt: off
BASES: Mapping[str, float] = {
    "demand_deposit": -3.60, "time_deposit": -7.82, "large_cd": -9.07, "notice_deposit": -10.37, "payroll": -7.61, "bill_payment": -8.09,
    "mobile_banking": -6.51, "debit_card": -6.56, "credit_card": -7.56, "credit_card_platinum": -8.14, "mortgage": -9.65, "car_loan": -8.60,
    "consumer_loan": -8.67, "business_loan": -9.30, "wealth_cash": -9.05, "wealth_fixed": -8.68, "wealth_mixed": -10.69, "wealth_fx": -9.69,
    "fund_money": -8.90, "fund_mixed": -9.16, "fund_equity": -9.85, "government_bond": -9.35, "broker_link": -8.19, "insurance_annuity": -8.61,
    "insurance_health": -7.82, "private_trust": -9.36, "gold_accumulation": -8.67, "paper_gold": -8.93, "foreign_exchange": -9.09, "personal_pension": -9.44,
}

DRIVERS: Mapping[str, Mapping[str, float]] = {
    "demand_deposit": {"newcomer": 0.8, "lively": 0.3, "inflow": 0.2},
    "time_deposit": {"established": 0.7, "empty_nest": 1.3, "retired": 1.9, "idle": 1.0, "idle_high": 0.6, "risk": -0.9, "counter": 0.4, "prefers_mobile": -0.4, "lively": 0.2},
    "large_cd": {"empty_nest": 0.9, "retired": 1.2, "vip": 0.6, "wealth": 0.8, "idle": 0.9, "idle_high": 0.8, "risk": -0.7, "counter": 0.3},
    "notice_deposit": {"business_owner": 2.2, "idle": 0.9, "idle_high": 1.0, "inflow": 0.7, "vip": 0.6, "retired": -0.5},
    "payroll": {"starter": 1.2, "young_family": 0.7, "retired": -4.0, "student": -1.2, "worker": 1.1, "civil_servant": 0.9, "professional": 0.8, "business_owner": -2.0, "farmer": -1.5, "newcomer": 1.5},
    "bill_payment": {"young_family": 0.7, "established": 0.7, "empty_nest": 0.6, "retired": 1.0, "student": -1.5, "female": 0.4, "counter": 0.3, "lively": 0.5},
    "mobile_banking": {"student": 1.3, "starter": 1.2, "young_family": 0.7, "retired": -1.3, "empty_nest": -0.5, "prefers_mobile": 1.2, "lively": 0.4, "newcomer": 1.0, "counter": -0.3},
    "debit_card": {"student": 1.2, "starter": 0.6, "newcomer": 1.6, "lively": 0.5, "mobile": 0.3},
    "credit_card": {"starter": 1.0, "young_family": 1.0, "student": -1.0, "retired": -2.5, "empty_nest": -0.7, "income": 0.6, "professional": 0.8, "civil_servant": 0.5, "farmer": -0.8, "prefers_mobile": 0.4, "mobile": 0.4},
    "credit_card_platinum": {"income": 1.0, "vip": 1.0, "wealth": 1.6, "private": 1.4, "professional": 0.6, "business_owner": 0.5, "coastal": 0.4, "inflow": 0.4},
    "mortgage": {"starter": 1.1, "young_family": 2.0, "empty_nest": -1.8, "retired": -4.0, "student": -4.0, "income": 0.8, "idle": 0.5, "assets": 0.4, "civil_servant": 0.5, "professional": 0.5, "newcomer": 0.4},
    "car_loan": {"young_family": 1.5, "starter": 0.9, "established": 0.5, "retired": -3.0, "student": -3.0, "worker": 0.6, "business_owner": 0.5, "female": -0.7, "inflow": 0.6, "idle": -0.3},
    "consumer_loan": {"young_family": 1.1, "starter": 0.7, "established": 0.4, "retired": -3.0, "idle": -0.9, "assets": -0.5, "worker": 0.8, "farmer": 0.3, "lively": 0.3},
    "business_loan": {"business_owner": 3.6, "farmer": 1.8, "inflow": 0.6, "counter": 0.4, "established": 0.6, "idle": -0.4},
    "wealth_cash": {"mobile": 0.8, "prefers_mobile": 0.7, "starter": 0.7, "young_family": 0.5, "idle": 1.0, "inflow": 0.3, "risk": 0.3, "retired": -0.5},
    "wealth_fixed": {"established": 0.9, "empty_nest": 1.1, "retired": 0.4, "idle": 1.2, "idle_high": 0.6, "vip": 0.7, "wealth": 0.5, "risk": 0.4, "mobile": 0.2},
    "wealth_mixed": {"risk": 1.3, "assets": 0.7, "vip": 0.7, "wealth": 1.2, "private": 1.0, "idle": 0.7, "established": 0.5},
    "wealth_fx": {"assets": 0.8, "vip": 0.4, "wealth": 1.2, "private": 1.5, "coastal": 1.2, "professional": 0.6},
    "fund_money": {"mobile": 0.9, "starter": 1.0, "student": 1.3, "idle": 0.4, "prefers_mobile": 0.5, "retired": -1.2},
    "fund_mixed": {"risk": 1.3, "mobile": 0.5, "starter": 0.5, "young_family": 0.5, "professional": 0.5, "idle": 0.5, "retired": -0.6},
    "fund_equity": {"risk": 1.8, "mobile": 0.6, "starter": 0.6, "female": -0.5, "professional": 0.5, "idle": 0.3, "retired": -1.0},
    "government_bond": {"retired": 2.2, "empty_nest": 1.4, "established": 0.4, "risk": -1.2, "counter": 0.8, "idle": 0.7, "prefers_mobile": -0.6},
    "broker_link": {"risk": 1.6, "female": -0.8, "established": 0.4, "professional": 0.6, "business_owner": 0.4, "mobile": 0.5, "coastal": 0.3, "idle": 0.3},
    "insurance_annuity": {"young_family": 0.8, "established": 1.1, "empty_nest": 0.8, "female": 0.5, "vip": 0.7, "wealth": 1.0, "income": 0.4, "risk": -0.3, "counter": 0.3},
    "insurance_health": {"young_family": 1.5, "established": 0.9, "female": 0.6, "income": 0.3, "worker": 0.4, "student": -1.5, "retired": -1.0},
    "private_trust": {"private": 1.6, "assets": 1.0, "risk": 0.8, "idle": 0.7, "business_owner": 0.5},
    "gold_accumulation": {"female": 0.9, "established": 0.7, "empty_nest": 0.6, "assets": 0.5, "mobile": 0.5, "risk": 0.5},
    "paper_gold": {"risk": 1.4, "mobile": 0.6, "business_owner": 0.7, "female": -0.6, "established": 0.4},
    "foreign_exchange": {"coastal": 1.3, "professional": 1.0, "student": 1.2, "income": 0.6, "wealth": 0.9, "private": 1.0, "established": 0.3},
    "personal_pension": {"income": 0.9, "professional": 0.8, "civil_servant": 0.9, "established": 0.6, "young_family": 0.4, "mobile": 0.5, "student": -2.0},
}

PAIRS = Pairs(
    held={
        ("mobile_banking", "wealth_cash"): 0.9, ("mobile_banking", "fund_money"): 0.9, ("mobile_banking", "bill_payment"): 0.7, ("mobile_banking", "personal_pension"): 0.7,
        ("mobile_banking", "credit_card"): 0.4, ("mobile_banking", "gold_accumulation"): 0.6, ("mobile_banking", "fund_mixed"): 0.5,
        ("debit_card", "mobile_banking"): 1.0, ("debit_card", "bill_payment"): 0.6,
        ("payroll", "credit_card"): 0.9, ("payroll", "consumer_loan"): 0.6, ("payroll", "mortgage"): 0.6, ("payroll", "personal_pension"): 0.9, ("payroll", "wealth_cash"): 0.5,
        ("credit_card", "consumer_loan"): 0.7, ("credit_card", "car_loan"): 0.4,
        ("mortgage", "insurance_health"): 0.7, ("mortgage", "consumer_loan"): 0.6, ("mortgage", "bill_payment"): 0.5, ("mortgage", "car_loan"): 0.4, ("mortgage", "time_deposit"): -0.5,
        ("car_loan", "insurance_health"): 0.8,
        ("business_loan", "notice_deposit"): 0.8,
        ("time_deposit", "large_cd"): 1.0, ("time_deposit", "government_bond"): 0.9, ("time_deposit", "insurance_annuity"): 0.5,
        ("large_cd", "private_trust"): 0.6, ("large_cd", "government_bond"): 0.4,
        ("wealth_cash", "wealth_fixed"): 1.0, ("fund_money", "fund_mixed"): 1.1, ("fund_money", "fund_equity"): 0.7,
        ("wealth_fixed", "wealth_mixed"): 1.2, ("wealth_fixed", "insurance_annuity"): 0.6, ("wealth_fixed", "time_deposit"): -0.5,
        ("wealth_mixed", "private_trust"): 0.9, ("wealth_mixed", "wealth_fx"): 0.7, ("wealth_mixed", "fund_mixed"): 0.5,
        ("fund_mixed", "fund_equity"): 1.1, ("fund_equity", "broker_link"): 1.1, ("broker_link", "fund_equity"): 1.1, ("broker_link", "paper_gold"): 0.9,
        ("gold_accumulation", "paper_gold"): 1.2, ("paper_gold", "gold_accumulation"): 0.9,
        ("foreign_exchange", "wealth_fx"): 1.9, ("wealth_fx", "foreign_exchange"): 0.8,
        ("insurance_health", "insurance_annuity"): 0.7, ("insurance_annuity", "insurance_health"): 0.5,
    },
    opened={
        ("payroll", "credit_card"): 1.8, ("payroll", "mobile_banking"): 1.2, ("payroll", "personal_pension"): 1.0, ("payroll", "wealth_cash"): 0.7,
        ("debit_card", "mobile_banking"): 1.5, ("mobile_banking", "wealth_cash"): 1.3, ("mobile_banking", "fund_money"): 1.3, ("mobile_banking", "bill_payment"): 1.4,
        ("mortgage", "insurance_health"): 1.7, ("mortgage", "bill_payment"): 1.2, ("mortgage", "consumer_loan"): 1.2, ("mortgage", "credit_card"): 0.8,
        ("car_loan", "insurance_health"): 1.8, ("credit_card", "bill_payment"): 0.6, ("credit_card", "consumer_loan"): 0.8,
        ("fund_money", "fund_mixed"): 1.3, ("fund_mixed", "fund_equity"): 1.3, ("broker_link", "fund_equity"): 1.5, ("wealth_cash", "wealth_fixed"): 1.4,
        ("wealth_fixed", "wealth_mixed"): 1.3, ("foreign_exchange", "wealth_fx"): 2.2, ("business_loan", "notice_deposit"): 1.6, ("insurance_health", "insurance_annuity"): 1.2,
        ("gold_accumulation", "paper_gold"): 1.0,
    },
    closed={
        ("time_deposit", "time_deposit"): 2.2, ("time_deposit", "large_cd"): 1.6, ("time_deposit", "wealth_fixed"): 1.5, ("time_deposit", "government_bond"): 1.4, ("time_deposit", "insurance_annuity"): 1.0,
        ("wealth_fixed", "wealth_fixed"): 2.3, ("wealth_fixed", "wealth_mixed"): 1.6, ("wealth_fixed", "large_cd"): 1.2, ("wealth_fixed", "wealth_cash"): 0.9,
        ("wealth_cash", "wealth_fixed"): 1.3, ("wealth_mixed", "wealth_mixed"): 2.0, ("wealth_mixed", "private_trust"): 1.4, ("large_cd", "large_cd"): 2.3, ("wealth_fx", "wealth_fx"): 2.2,
        ("private_trust", "private_trust"): 2.0, ("consumer_loan", "consumer_loan"): 2.0, ("business_loan", "business_loan"): 2.0, ("car_loan", "consumer_loan"): 0.8,
        ("notice_deposit", "notice_deposit"): 1.6, ("fund_money", "fund_money"): 1.4, ("fund_equity", "fund_equity"): 1.2, ("fund_mixed", "wealth_cash"): 0.7, ("foreign_exchange", "foreign_exchange"): 1.5,
        ("paper_gold", "gold_accumulation"): 1.8, ("payroll", "payroll"): -1.0, ("credit_card", "credit_card"): -1.0,
    },
)

SEASONS: Mapping[str, Mapping[int, float]] = {
    "insurance_annuity": {1: 1.4, 2: 0.7, 12: 0.4, 7: -0.3}, "insurance_health": {1: 0.7, 3: 0.2}, "car_loan": {1: 0.6, 9: 0.4, 10: 0.4, 12: 0.7, 2: -0.3},
    "time_deposit": {1: 0.5, 6: 0.6, 12: 0.8}, "large_cd": {1: 0.6, 6: 0.6, 12: 0.7}, "foreign_exchange": {7: 1.1, 8: 0.9, 1: 0.4}, "wealth_fx": {7: 0.4, 8: 0.4},
    "payroll": {3: 0.4, 7: 0.7}, "debit_card": {9: 0.7, 7: 0.3}, "mortgage": {3: 0.4, 4: 0.4, 9: 0.3, 10: 0.3, 2: -0.5}, "consumer_loan": {11: 0.6, 1: 0.3},
    "government_bond": {1: -1.5, 2: -1.5, 12: -1.5, 4: 0.5, 5: 0.3}, "personal_pension": {12: 1.2, 11: 0.4}, "wealth_fixed": {2: 0.5, 6: 0.3, 12: 0.3}, "gold_accumulation": {1: 0.4, 2: 0.6},
    "business_loan": {3: 0.4}, "credit_card": {6: 0.2, 11: 0.3}, "private_trust": {6: 0.3, 12: 0.3},
}

TASTES: Mapping[str, tuple[str, ...]] = {
    "saving": ("time_deposit", "large_cd", "government_bond", "insurance_annuity", "notice_deposit"),
    "investing": ("fund_mixed", "fund_equity", "broker_link", "wealth_mixed", "paper_gold", "private_trust"),
    "borrowing": ("credit_card", "consumer_loan", "car_loan", "mortgage", "business_loan"),
    "digital": ("mobile_banking", "wealth_cash", "fund_money", "bill_payment", "personal_pension", "gold_accumulation"),
    "protecting": ("insurance_health", "insurance_annuity", "personal_pension"),
    "abroad": ("foreign_exchange", "wealth_fx"),
}
# fmt: on
