"""The products of a synthetic Chinese commercial bank: what they are called, and how their accounts live and end."""
# ruff: noqa: E501 - a product is a line

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bank import CALENDAR, CORPORATE, RETAIL, SyntheticBank

TIERS = ("ordinary", "vip", "wealth", "private")

LAUNCHED = "personal_pension"
"""Goes on sale in the course of the published months."""

WITHDRAWN = "paper_gold"
"""Is taken off sale in the course of the published months."""


class Money(StrEnum):
    """What an account's balance is."""

    NONE = "none"
    DEMAND = "demand"  # rises and falls with the customer's own money
    ASSET = "asset"  # a sum put in, in proportion to the customer's means
    LOAN = "loan"  # a sum owed, in proportion to the customer's income


@dataclass(frozen=True)
class Product:
    """A product as the contract has it, and how its accounts behave.

    Attributes
    ----------
    annual_margin : yuan a year that a typical account earns the bank
    contact_minutes : minutes an RM needs to offer it
    money, scale : what its balance is; log10 of its typical size over the customer's means or monthly income
    terms : months to maturity, one drawn for each account; none: open-ended
    renewal : probability that a matured account is opened again the same day
    closure : probability a month that an account is closed before (or without) maturity
    """

    product_id: str
    name: str
    name_zh: str
    family: str
    annual_margin: float
    contact_minutes: float
    customer_kind: str = RETAIL
    risk_rating: str | None = None
    issuer_risk_rating: str | None = None
    on_sale_from: date | None = None
    on_sale_to: date | None = None
    min_age: int | None = None
    max_age: int | None = None
    min_tier: str | None = None
    min_balance: float | None = None
    requires: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    repeatable: bool = False
    money: Money = Money.NONE
    scale: float = 0.0
    terms: tuple[int, ...] = ()
    renewal: float = 0.0
    closure: float = 0.004


_A, _L = Money.ASSET, Money.LOAN

# fmt: off
_RETAIL = (
    Product("demand_deposit", "Demand deposit", "活期存款", "deposits", 60, 5, risk_rating="R1", money=Money.DEMAND, closure=0),
    Product("time_deposit", "Time deposit", "整存整取定期存款", "deposits", 320, 8, risk_rating="R1", repeatable=True, money=_A, scale=-0.05, terms=(3, 6, 12, 12, 24), renewal=0.55, closure=0.01),
    Product("large_cd", "Large certificate of deposit", "大额存单", "deposits", 900, 12, risk_rating="R1", min_balance=200_000, repeatable=True, money=_A, scale=0.3, terms=(12, 24, 36), renewal=0.4, closure=0.005),
    Product("notice_deposit", "Notice deposit", "通知存款", "deposits", 260, 8, risk_rating="R1", money=_A, scale=0.0, closure=0.05),
    Product("payroll", "Payroll account", "代发工资", "settlement", 220, 10, min_age=16, requires=("demand_deposit",), closure=0.005),
    Product("bill_payment", "Bill payment", "代缴费", "settlement", 25, 4, requires=("demand_deposit",), closure=0.004),
    Product("mobile_banking", "Mobile banking", "手机银行", "channels", 40, 5, closure=0.002),
    Product("debit_card", "Debit card", "借记卡", "cards", 70, 6, requires=("demand_deposit",), closure=0.001),
    Product("credit_card", "Credit card", "信用卡", "cards", 420, 12, min_age=18, max_age=65, money=_L, scale=-0.35, closure=0.004),
    Product("credit_card_platinum", "Platinum credit card", "白金信用卡", "cards", 980, 15, min_age=22, max_age=65, requires=("credit_card",), money=_L, scale=0.0, closure=0.005),
    Product("mortgage", "Home mortgage", "个人住房贷款", "loans", 6_800, 60, min_age=20, max_age=60, money=_L, scale=1.9, terms=(180, 240, 300), closure=0.003),
    Product("car_loan", "Car loan", "汽车贷款", "loans", 2_100, 35, min_age=18, max_age=60, money=_L, scale=1.1, terms=(24, 36, 36), closure=0.006),
    Product("consumer_loan", "Consumer loan", "个人消费贷款", "loans", 1_500, 25, min_age=20, max_age=60, excludes=("business_loan",), repeatable=True, money=_L, scale=0.8, terms=(6, 12, 24), renewal=0.2, closure=0.015),
    Product("business_loan", "Personal business loan", "个人经营贷款", "loans", 5_200, 50, min_age=22, max_age=65, excludes=("consumer_loan",), repeatable=True, money=_L, scale=1.3, terms=(12, 12, 24), renewal=0.5, closure=0.005),
    Product("wealth_cash", "Cash-management wealth product", "现金管理类理财", "wealth", 180, 10, risk_rating="R1", min_age=18, money=_A, scale=-0.3, closure=0.025),
    Product("wealth_fixed", "Fixed-income wealth product", "固定收益类理财", "wealth", 520, 15, risk_rating="R2", min_age=18, repeatable=True, money=_A, scale=0.0, terms=(3, 6, 6, 12), renewal=0.5, closure=0.003),
    Product("wealth_mixed", "Mixed wealth product", "混合类理财", "wealth", 860, 25, risk_rating="R3", min_age=18, money=_A, scale=0.05, terms=(12, 24), renewal=0.25, closure=0.01, repeatable=True),
    Product("wealth_fx", "Foreign-currency wealth product", "外币理财", "wealth", 740, 25, risk_rating="R2", issuer_risk_rating="R3", min_age=18, repeatable=True, money=_A, scale=-0.1, terms=(6, 12), renewal=0.3, closure=0.005),
    Product("fund_money", "Money-market fund", "货币基金", "funds", 90, 8, risk_rating="R1", min_age=18, money=_A, scale=-0.5, closure=0.03),
    Product("fund_mixed", "Mixed fund", "混合型基金", "funds", 380, 20, risk_rating="R3", min_age=18, money=_A, scale=-0.35, closure=0.02),
    Product("fund_equity", "Equity fund", "股票型基金", "funds", 460, 20, risk_rating="R4", min_age=18, money=_A, scale=-0.4, closure=0.025),
    Product("government_bond", "Savings bond", "储蓄国债", "bonds", 150, 10, risk_rating="R1", money=_A, scale=0.0, terms=(36, 60), closure=0.004),
    Product("broker_link", "Broker link", "银证转账", "securities", 130, 10, risk_rating="R4", min_age=18, requires=("debit_card",), closure=0.003),
    Product("insurance_annuity", "Annuity insurance", "年金保险", "insurance", 2_400, 40, risk_rating="R2", issuer_risk_rating="R2", min_age=18, max_age=70, money=_A, scale=-0.2, terms=(60, 120), closure=0.003),
    Product("insurance_health", "Health insurance", "健康保险", "insurance", 780, 30, min_age=18, max_age=65, closure=0.007),
    Product("private_trust", "Collective trust plan", "集合资金信托", "trust", 9_500, 60, risk_rating="R4", min_age=18, min_tier="wealth", min_balance=600_000, money=_A, scale=0.2, terms=(12, 24), renewal=0.3, closure=0.001, repeatable=True),
    Product("gold_accumulation", "Gold accumulation plan", "积存金", "gold", 210, 12, risk_rating="R3", min_age=18, money=_A, scale=-0.7, closure=0.02),
    Product("paper_gold", "Gold account", "账户黄金", "gold", 190, 12, risk_rating="R4", min_age=18, money=_A, scale=-0.6, closure=0.05),
    Product("foreign_exchange", "Foreign exchange", "结售汇", "foreign_exchange", 240, 12, min_age=18, closure=0.05),
    Product("personal_pension", "Personal pension account", "个人养老金", "pension", 350, 15, min_age=16, max_age=60, requires=("demand_deposit",), money=_A, scale=-0.8, closure=0.001),
)

_CORPORATE = (
    Product("corp_settlement", "Settlement account", "单位结算账户", "settlement", 3_000, 30, CORPORATE, money=Money.DEMAND, closure=0),
    Product("corp_online_banking", "Corporate online banking", "企业网银", "channels", 1_200, 20, CORPORATE, requires=("corp_settlement",), closure=0.004),
    Product("corp_quick_payment", "Quick payment", "快捷收付款", "settlement", 2_500, 25, CORPORATE, requires=("corp_online_banking",), closure=0.012),
    Product("corp_payroll_service", "Payroll service", "代发工资服务", "settlement", 5_000, 30, CORPORATE, requires=("corp_settlement",), closure=0.008),
    Product("corp_cash_management", "Cash management", "现金管理", "cash_management", 12_000, 60, CORPORATE, requires=("corp_online_banking",), closure=0.006),
    Product("corp_cash_pool", "Cash pool", "资金池", "cash_management", 38_000, 120, CORPORATE, min_tier="vip", requires=("corp_cash_management",), closure=0.008),
    Product("corp_bill_discounting", "Bill discounting", "票据贴现", "bills", 16_000, 45, CORPORATE, repeatable=True, money=_L, scale=0.1, terms=(3, 6, 6), renewal=0.3, closure=0.004),
    Product("corp_bill_pool", "Bill pool", "票据池", "bills", 21_000, 60, CORPORATE, requires=("corp_online_banking",), closure=0.012),
    Product("corp_working_capital_loan", "Working-capital loan", "流动资金贷款", "loans", 45_000, 90, CORPORATE, repeatable=True, money=_L, scale=0.5, terms=(6, 12, 12), renewal=0.4, closure=0.005),
    Product("corp_mortgage_finance", "Mortgage-backed finance", "抵押融资", "loans", 62_000, 120, CORPORATE, money=_L, scale=0.8, terms=(24, 36, 60), closure=0.008),
    Product("corp_pledge_finance", "Pledge-backed finance", "质押融资", "loans", 36_000, 90, CORPORATE, repeatable=True, money=_L, scale=0.4, terms=(6, 12), renewal=0.25, closure=0.008),
    Product("corp_supply_chain_finance", "Supply-chain finance", "供应链融资", "loans", 41_000, 90, CORPORATE, money=_L, scale=0.3, terms=(12, 12, 24), renewal=0.35, closure=0.006, repeatable=True),
    Product("corp_entrusted_loan", "Entrusted loan", "委托贷款", "entrusted", 18_000, 90, CORPORATE, min_tier="vip", money=_A, scale=0.2, terms=(12, 24), closure=0.004),
    Product("corp_entrusted_deposit", "Entrusted deposit", "委托存款", "entrusted", 9_000, 45, CORPORATE, repeatable=True, money=_A, scale=0.1, terms=(3, 6, 12), renewal=0.35, closure=0.005),
    Product("corp_wealth", "Corporate wealth product", "对公理财", "wealth", 15_000, 40, CORPORATE, risk_rating="R2", repeatable=True, money=_A, scale=0.1, terms=(3, 3, 6), renewal=0.4, closure=0.006),
    Product("corp_advisory", "Investment-banking advisory", "投行财务顾问", "investment_banking", 80_000, 180, CORPORATE, min_tier="vip", terms=(6, 12, 18), closure=0.004),
)
# fmt: on


@dataclass(frozen=True)
class Catalogue:
    """The products for one kind of customer, ordered by product id; a product's position is its column everywhere."""

    products: tuple[Product, ...]

    def __len__(self) -> int:
        return len(self.products)

    @property
    def product_ids(self) -> tuple[str, ...]:
        """Ascending."""
        return tuple(product.product_id for product in self.products)

    def position(self, product_id: str) -> int:
        """The column of a product."""
        return self.product_ids.index(product_id)

    def positions_of(self, money: Money) -> NDArray[np.intp]:
        """The columns of the products whose balance is `money`."""
        return np.flatnonzero([product.money is money for product in self.products])

    @cached_property
    def closures(self) -> NDArray[np.float32]:
        """Shape (n_products,): probability a month that an account is closed without being due."""
        return np.array([product.closure for product in self.products], dtype=np.float32)

    @cached_property
    def renewals(self) -> NDArray[np.float32]:
        """Shape (n_products,): probability that a matured account is opened again the same day."""
        return np.array([product.renewal for product in self.products], dtype=np.float32)

    @cached_property
    def ratings(self) -> NDArray[np.int8]:
        """Shape (n_products,): the higher of issuer's and seller's rating, 1 to 5; 0 for what is not rated."""
        pairs = ((product.risk_rating, product.issuer_risk_rating) for product in self.products)
        return np.array([max(int(rating[1]) if rating else 0 for rating in pair) for pair in pairs], dtype=np.int8)

    @cached_property
    def term_table(self) -> NDArray[np.int16]:
        """Shape (n_products, 12): months to maturity, one of the row's entries for each account; 0: open-ended."""
        return np.array([np.resize(product.terms or (0,), 12) for product in self.products], dtype=np.int16)

    @cached_property
    def scales(self) -> NDArray[np.float32]:
        """Shape (n_products,): log10 of a typical balance over the customer's means or income."""
        return np.array([product.scale for product in self.products], dtype=np.float32)

    def on_sale(self, period: int) -> NDArray[np.bool_]:
        """Shape (n_products,): on sale at the end of `period` and the day after."""
        end = CALENDAR.end_of(period)
        return np.array(
            [
                (product.on_sale_from is None or product.on_sale_from <= end)
                and (product.on_sale_to is None or product.on_sale_to > end)
                for product in self.products
            ]
        )


def products_of(bank: SyntheticBank) -> tuple[Product, ...]:
    """Every product of `bank`, ordered by product id.

    One goes on sale a third into the published months (in mid-month, so that its first accounts are of the month
    after), another is last sold at the end of a month, two thirds in.
    """
    launch = CALENDAR.start_of(bank.first_period + bank.periods // 3).replace(day=15)
    withdrawal = CALENDAR.end_of(bank.first_period + 2 * bank.periods // 3)
    dated = []
    for product in (*_RETAIL, *_CORPORATE):
        if product.product_id == LAUNCHED:
            product = replace(product, on_sale_from=launch)
        elif product.product_id == WITHDRAWN:
            product = replace(product, on_sale_to=withdrawal)
        dated.append(product)
    return tuple(sorted(dated, key=lambda product: product.product_id))


def catalogue_of(bank: SyntheticBank, kind: str) -> Catalogue:
    """The products of `bank` for customers of `kind`."""
    return Catalogue(tuple(product for product in products_of(bank) if product.customer_kind == kind))
