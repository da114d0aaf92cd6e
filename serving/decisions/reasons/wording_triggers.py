"""What is said of triggers, of association rules, and where there is nothing in particular to say."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date

import numpy as np

from features.calendar import HISTORY_BITS

from ..layers.facts import days_since_epoch
from ..layers.triggers import FoundTriggers, TriggerTables
from ..policy.schema import Policy
from ..policy.sections import TRIGGERS
from .wording import holding
from .wording_client import Client
from .wording_parts import Said, amount, days_ahead, is_amount, tidy, value_name

ASKED = Said("The client asked for it", "客户主动咨询该产品")
POPULAR = Said("Popular with our customers lately", "近期受到我行客户欢迎")
TAKEN = Said("Taken by customers of ours lately", "近期有我行客户办理")
ON_SALE = Said("On sale now", "目前在售")

NOTHING_IN_PARTICULAR = Said(
    "Among the first choices on the whole of what is known of the client", "综合客户整体情况，该产品排序靠前"
)
SAME_PRODUCTS = Said(
    "Clients with the same products take it more often than others", "持有相同产品的客户办理该产品更为常见"
)
LATER = Said("Asked to hear of it later, and that time has come", "客户曾表示稍后再联系，现已到约定时间")


def rule_sentence(held: tuple[int, ...], product: int, lift: float, names: tuple[Said, ...]) -> Said:
    """An association rule in words."""
    held_en, held_zh = " and ".join([names[p].text for p in held]), "和".join([names[p].text_zh for p in held])
    taken, ratio = names[product], tidy(lift)
    return Said(
        f"Clients who hold {held_en} take {taken.text} {ratio} times as often as similar clients",
        f"持有{held_zh}的客户办理{taken.text_zh}的频率是同类客户的{ratio}倍",
    )


class TriggerWords:
    """What is said of the triggers that hold for one customer of a block.

    Attributes
    ----------
    day : of the decision
    """

    def __init__(self, client: Client, found: FoundTriggers, tables: TriggerTables, policy: Policy, day: date) -> None:
        self.client, self.tables, self.policy, self.day = client, tables, policy, day
        self.figures = found.figures[client.row]

    def sentence(self, trigger: int) -> Said | None:
        """What is said of a trigger, by its number."""
        first, second = (float(figure) for figure in self.figures[trigger])
        return _SENTENCES[TRIGGERS[trigger]](self, first, second)

    def products(self, trigger: int) -> tuple[int, ...]:
        """The products that a trigger's sentence names."""
        if TRIGGERS[trigger] not in ("salary_started", "salary_stopped"):
            return ()
        return self._changed(trigger, float(self.figures[trigger, 0]))

    def _changed(self, trigger: int, ago: float) -> tuple[int, ...]:
        """The watched product that was added, or dropped, so many periods ago."""
        if not 0 <= ago < HISTORY_BITS:
            return ()
        for product in np.flatnonzero(self.tables.products[trigger]).tolist():
            newer, older = (self.client.word(product) >> int(ago)) & 1, (self.client.word(product) >> int(ago) + 1) & 1
            if (newer, older) == ((1, 0) if TRIGGERS[trigger] == "salary_started" else (0, 1)):
                return (product,)
        return ()

    def _maturing(self, balance: float, days: float) -> Said | None:
        if not math.isfinite(days):
            return None
        name, when = self._matures(int(days)), days_ahead(int(days))
        text, text_zh = f"{name.text} matures {when.text}", f"{name.text_zh}{when.text_zh}到期"
        if is_amount(balance):  # of all accounts of the product
            held = amount(balance)
            return Said(f"{text}: {held.text} held in it", f"{text_zh}，该产品余额{held.text_zh}")
        return Said(text, text_zh)

    def _matures(self, days: int) -> Said:
        """The product whose account matures in so many days, if it is certain which one that is."""
        log, position = self.client.block.states.maturities, int(self.client.block.positions[self.client.row])
        events = slice(log.indptr[position], log.indptr[position + 1])
        today = days_since_epoch(self.day)
        is_it = (
            (log.columns["known_on"][events] <= today)
            & (log.columns["closed_on"][events] > today)
            & (log.columns["matures_on"][events] == today + days)
        )
        watched = self.tables.products[TRIGGERS.index("maturing")]
        found = {int(p) for p in log.columns["product"][events][is_it] if watched[p]}
        return self.client.names[found.pop()] if len(found) == 1 else Said("An account", "有账户")

    def _large_inflow(self, came: float, before: float) -> Said | None:
        if not is_amount(came):
            return None
        money = amount(came)
        if is_amount(before):
            ratio = tidy(came / before)
            return Said(
                f"{money.text} came in lately, {ratio} times the usual amount",
                f"近期转入{money.text_zh}，为平时的{ratio}倍",
            )
        return Said(f"{money.text} came in lately, more than usual", f"近期转入{money.text_zh}，高于平时")

    def _salary_started(self, ago: float, _: float) -> Said | None:
        found = self._changed(TRIGGERS.index("salary_started"), ago)
        return holding(self.client, found[0]) if found else None

    def _salary_stopped(self, ago: float, _: float) -> Said | None:
        found = self._changed(TRIGGERS.index("salary_stopped"), ago)
        return holding(self.client, found[0]) if found else None

    def _loan_nearly_repaid(self, owed: float, days: float) -> Said | None:
        if is_amount(owed):
            left = amount(owed)
            return Said(f"The loan is nearly repaid: {left.text} left", f"贷款即将还清，剩余{left.text_zh}")
        if not math.isfinite(days):
            return None
        when = days_ahead(int(days))
        return Said(f"A loan is due {when.text}", f"有贷款{when.text_zh}到期")

    def _balance_falling(self, assets: float, before: float) -> Said | None:
        if not math.isfinite(assets) or not is_amount(before):
            return None
        now, then = amount(assets), amount(before)
        return Said(
            f"Balances fell to {now.text} from {then.text}: the client may be leaving",
            f"资产余额由{then.text_zh}降至{now.text_zh}，客户可能正在流失",
        )

    def _next_tier(self, missing: float, _: float) -> Said | None:
        above = list(self.policy.tiers.items())[int(self.client.facts.tiers[self.client.row]) + 1 :]
        tier = next((value_name(name) for name, assets in above if assets is not None), None)
        if tier is None or not math.isfinite(missing):
            return None
        if not is_amount(missing):
            return Said(f"Has reached the assets of the {tier.text} tier", f"资产已达到{tier.text_zh}等级标准")
        short = amount(missing)
        return Said(f"{short.text} short of the {tier.text} tier", f"距{tier.text_zh}等级还差{short.text_zh}")

    def _life_stage_birthday(self, age: float, until: float) -> Said | None:
        if not math.isfinite(age + until):
            return None
        when = days_ahead(int(until))
        text = f"Turned {int(age)}, {when.text}" if until < 0 else f"Turns {int(age)} {when.text}"
        return Said(text, f"{when.text_zh}满{int(age)}岁")


_SENTENCES: dict[str, Callable[[TriggerWords, float, float], Said | None]] = {
    name: getattr(TriggerWords, f"_{name}") for name in TRIGGERS
}
