"""Amounts, dates, counts and names as RMs say them, in English and Chinese: what sentences are made of."""

from __future__ import annotations

import math
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from features import Calendar, Catalogue, Frequency
from features.catalogue import Product


class Said(NamedTuple):
    """The same in English and in Chinese."""

    text: str
    text_zh: str


CURRENCY = Said("¥", "元")
"""Before an amount in English, behind it in Chinese."""

_KEPT = 1024  # phrases kept of each sort: reasons name the same periods, families and amounts again and again
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_UNITS = {
    Frequency.WEEK: ("week", "周", "每周"),
    Frequency.MONTH: ("month", "个月", "每月"),
    Frequency.QUARTER: ("quarter", "个季度", "每季度"),
}
_NUMBERS = {1: ("one", "一"), 2: ("two", "两"), 3: ("three", "三"), 6: ("six", "六")}
_QUARTERS = (("first", "一"), ("second", "二"), ("third", "三"), ("fourth", "四"))


@lru_cache(_KEPT)
def amount(value: float) -> Said:
    """An amount of money, finite: whole units, from ten million on (in Chinese from 1万) to one decimal."""
    whole = abs(round(value))
    sign = "-" if value < 0 and whole else ""
    if whole < 10**7:
        text = f"{whole:,}"
    elif whole < 10**10:
        text = f"{tidy(whole / 1e6)} million"
    else:
        text = f"{tidy(whole / 1e9)} billion"
    if whole < 10**4:
        text_zh = f"{whole}"
    elif whole < 10**8 - 500:  # from there on it rounds to 10000万
        text_zh = f"{whole / 1e4:.1f}".removesuffix(".0") + "万"
    elif whole < 10**12:
        text_zh = f"{tidy(whole / 1e8)}亿"
    else:
        text_zh = f"{tidy(whole / 1e12)}万亿"
    return Said(f"{sign}{CURRENCY.text}{text}", f"{sign}{text_zh}{CURRENCY.text_zh}")


def tidy(value: float) -> str:
    """To one decimal, without one that is 0."""
    return f"{value:,.1f}".removesuffix(".0")


def positional(value: float) -> str:
    """A float32 with all its digits and no exponent: a number of the bank's own, of which nothing is known."""
    return np.format_float_positional(np.float32(value) + np.float32(0), trim="-")  # no -0


@lru_cache(_KEPT)
def times(count: float) -> Said:
    """How often, above 0."""
    shown = tidy(count)
    return Said({"1": "once", "2": "twice"}.get(shown, f"{shown} times"), f"{shown}次")


@lru_cache(_KEPT)
def counted(n: int, calendar: Calendar) -> Said:
    """`n` periods: three months, 三个月."""
    unit, unit_zh, _ = _UNITS[calendar.frequency]
    number, number_zh = _NUMBERS.get(n, (str(n), str(n)))
    return Said(f"{number} {unit}{'' if n == 1 else 's'}", f"{number_zh}{unit_zh}")


@lru_cache(_KEPT)
def up_to(n: int, period: int, calendar: Calendar) -> Said:
    """The `n` periods that end with `period`: in the three months to 30 June 2026, 截至2026年6月30日的三个月内."""
    span, end = counted(n, calendar), day_name(calendar.end_of(period))
    return Said(f"in the {span.text.removeprefix('one ')} to {end.text}", f"截至{end.text_zh}的{span.text_zh}内")


@lru_cache(_KEPT)
def periods_before(n: int, period: int, calendar: Calendar) -> Said:
    """The `n` periods before `period`: the three months before June 2026, 2026年6月之前三个月."""
    span, now = counted(n, calendar), period_name(period, calendar)
    return Said(f"the {span.text} before {now.text}", f"{now.text_zh}之前{span.text_zh}")


@lru_cache(_KEPT)
def each_period(calendar: Calendar) -> Said:
    """A month, 每月."""
    unit, _, each = _UNITS[calendar.frequency]
    return Said(f"a {unit}", each)


@lru_cache(_KEPT)
def period_name(period: int, calendar: Calendar) -> Said:
    """June 2026, 2026年6月: true on whatever day it is said, which "last month" is not."""
    start = calendar.start_of(period)
    if calendar.frequency is Frequency.WEEK:
        day = day_name(start)
        return Said(f"the week of {day.text}", f"{day.text_zh}当周")
    if calendar.frequency is Frequency.QUARTER:
        quarter, quarter_zh = _QUARTERS[(start.month - 1) // 3]
        return Said(f"the {quarter} quarter of {start.year}", f"{start.year}年第{quarter_zh}季度")
    return month_name(start)


def month_name(day: date) -> Said:
    """The month of a day."""
    return Said(f"{_MONTHS[day.month - 1]} {day.year}", f"{day.year}年{day.month}月")


def day_name(day: date) -> Said:
    """27 March 2026, 2026年3月27日."""
    return Said(f"{day.day} {_MONTHS[day.month - 1]} {day.year}", f"{day.year}年{day.month}月{day.day}日")


def days_ahead(days: int) -> Said:
    """In how many days; below 0: how many days ago."""
    if days == 0:
        return Said("today", "今天")
    if days < 0:
        return Said(f"{-days:,} day{'' if days == -1 else 's'} ago", f"{-days}天前")
    return Said(f"in {days:,} day{'' if days == 1 else 's'}", f"{days}天后")


def is_amount(value: float) -> bool:
    """Whether money of at least one unit can be spoken of: known, finite and above 0."""
    return math.isfinite(value) and value >= 1


def readable(text: str) -> str:
    """A code as words."""
    return " ".join(text.replace("_", " ").replace(":", " ").split())


def capital(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]


def product_name(product: Product) -> Said:
    """What a product is called."""
    name = product.name or readable(product.product_id)
    return Said(name, product.name_zh or name)


def product_names(catalogue: Catalogue) -> tuple[Said, ...]:
    """What the products are called, by position."""
    return tuple(product_name(product) for product in catalogue.products)


@lru_cache(_KEPT)
def family_name(family: str) -> Said:
    """A product family in the middle of a sentence."""
    return Said(readable(family), _FAMILIES_ZH.get(family.lower()) or readable(family))


@lru_cache(_KEPT)
def channel_name(channel: str) -> Said:
    """A channel in the middle of a sentence."""
    return _CHANNELS.get(channel.lower()) or Said(readable(channel), readable(channel))


@lru_cache(_KEPT)
def attribute_name(attribute: str) -> Said:
    """What a column of customers is called at the beginning of a sentence."""
    return _ATTRIBUTES.get(attribute) or Said(capital(readable(attribute)), f"登记的{readable(attribute)}")


@lru_cache(_KEPT)
def value_name(value: str) -> Said:
    """A text that a column of customers has."""
    return Said(readable(value), _VALUES_ZH.get(value.lower()) or readable(value))


_FAMILIES_ZH = {
    "bills": "票据", "bonds": "债券", "cards": "银行卡", "cash_management": "现金管理", "channels": "电子渠道",
    "deposits": "存款", "entrusted": "委托业务", "foreign_exchange": "外汇", "funds": "基金", "gold": "黄金",
    "insurance": "保险", "investment_banking": "投资银行", "loans": "贷款", "pension": "养老金", "securities": "证券",
    "settlement": "结算", "trust": "信托", "wealth": "理财",
}  # fmt: skip

_CHANNELS = {
    "app": Said("the app", "手机应用"),
    "atm": Said("cash machines", "自助设备"),
    "branch": Said("the branch", "网点"),
    "call": Said("the call centre", "客服电话"),
    "counter": Said("the counter", "柜台"),
    "mobile": Said("mobile banking", "手机银行"),
    "phone": Said("the phone", "电话"),
    "rm": Said("the relationship manager", "客户经理"),
    "sms": Said("text messages", "短信"),
    "web": Said("online banking", "网上银行"),
    "wechat": Said("WeChat", "微信"),
}

_ATTRIBUTES = {
    "income": Said("Income on record", "登记收入"),
    "industry": Said("Industry", "所属行业"),
    "life_stage": Said("Stage of life", "人生阶段"),
    "occupation": Said("Occupation", "职业"),
    "region": Said("Region", "所在地区"),
}

_VALUES_ZH = {
    # stages of life and occupations
    "student": "学生", "starter": "初入职场", "young_family": "年轻家庭", "established": "事业稳定",
    "empty_nest": "子女独立", "retired": "退休", "worker": "职工", "professional": "专业人士", "farmer": "农户",
    "civil_servant": "公务员", "business_owner": "企业主", "homemaker": "料理家务",
    # industries
    "manufacturing": "制造业", "trade": "贸易", "construction": "建筑业", "technology": "科技", "services": "服务业",
    "agriculture": "农业",
    # tiers
    "ordinary": "普通", "basic": "基础", "silver": "白银", "gold": "黄金", "platinum": "白金", "diamond": "钻石",
    "vip": "贵宾", "wealth": "财富", "private": "私人银行",
    # regions of China
    "beijing": "北京", "tianjin": "天津", "hebei": "河北", "shanxi": "山西", "inner mongolia": "内蒙古",
    "liaoning": "辽宁", "jilin": "吉林", "heilongjiang": "黑龙江", "shanghai": "上海", "jiangsu": "江苏",
    "zhejiang": "浙江", "anhui": "安徽", "fujian": "福建", "jiangxi": "江西", "shandong": "山东", "henan": "河南",
    "hubei": "湖北", "hunan": "湖南", "guangdong": "广东", "guangxi": "广西", "hainan": "海南", "chongqing": "重庆",
    "sichuan": "四川", "guizhou": "贵州", "yunnan": "云南", "tibet": "西藏", "shaanxi": "陕西", "gansu": "甘肃",
    "qinghai": "青海", "ningxia": "宁夏", "xinjiang": "新疆",
}  # fmt: skip
