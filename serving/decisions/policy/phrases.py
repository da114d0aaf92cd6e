"""The sentences in which a policy is explained, each in English and in Chinese."""

from __future__ import annotations

from collections.abc import Iterable

from ...language import Language


class Phrases:
    """Sentences of one language, filled with figures and names."""

    def __init__(self, language: Language) -> None:
        self._column = list(Language).index(language)

    def say(self, phrase: str, **values: object) -> str:
        """The sentence called `phrase`, with its gaps filled."""
        return PHRASES[phrase][self._column].format(**values)

    def pick(self, english: str, chinese: str) -> str:
        """Which of two texts of a policy itself is in its language."""
        return (english, chinese)[self._column]

    def days(self, count: int) -> str:
        """A number of days."""
        return self.say("day" if count == 1 else "days", count=figure(count))

    def all_of(self, names: Iterable[object]) -> str:
        """Names of which all are meant."""
        return self._joined(list(map(str, names)), "all_of")

    def any_of(self, names: Iterable[object]) -> str:
        """Names of which any is meant."""
        return self._joined(list(map(str, names)), "any_of")

    def _joined(self, names: list[str], last: str) -> str:
        if len(names) < 2:
            return "".join(names)
        return self.say(last, first=self.say("comma").join(names[:-1]), last=names[-1])


def figure(value: float) -> str:
    """A number as people write it: 4,000,000 and 0.05."""
    return format(value, ",.12g")


def percent(share: float) -> str:
    """A share of one as a percentage."""
    return format(100 * share, ",.6g") + "%"


PHRASES: dict[str, tuple[str, str]] = {
    "comma": (", ", "、"),
    "all_of": ("{first} and {last}", "{first}和{last}"),
    "any_of": ("{first} or {last}", "{first}或{last}"),
    "day": ("{count} day", "{count}天"),
    "days": ("{count} days", "{count}天"),
    "stop": (".", "。"),
    "semicolon": ("; ", "；"),
    "rule": ("[{name}] {sentence}", "【{name}】{sentence}"),
    "note": (" ({note})", "（{note}）"),
    # what a rule is for
    "for": ("For {scope}: {what}", "对{scope}：{what}"),
    "for_all": ("For everybody and everything: {what}", "对所有客户和产品：{what}"),
    "product": ("{names}", "产品{names}"),
    "family": ("family {names}", "{names}类产品"),
    "tier": ("customers of tier {names}", "{names}等级的客户"),
    "life_stage": ("customers in life stage {names}", "处于{names}人生阶段的客户"),
    "kind": ("{names} customers", "{names}客户"),
    "channel": ("contacts through {names}", "通过{names}的联系"),
    "retail": ("retail", "零售"),
    "corporate": ("corporate", "对公"),
    "instead": ("for {scope} instead: {what} (rule {name})", "但对{scope}：{what}（规则{name}）"),
    # the policy itself
    "policy": ("The policy", "策略"),
    "named": (
        "Policy {name}, version {version}; {owner} answers for it.",
        "策略{name}，版本{version}，责任人：{owner}。",
    ),
    "today": (
        "Ages, assessments, silences and levers are judged on the day of the decision.",
        "年龄、风险评估、静默期和业务杠杆按决策当天判断。",
    ),
    "as_of": (
        "Ages, assessments, silences and levers are judged on the last day that the data knows.",
        "年龄、风险评估、静默期和业务杠杆按数据的最后一天判断。",
    ),
    # names
    "names": ("Names that rules use", "规则所用的名称"),
    "no_tiers": (
        "No tiers are defined: a product that asks for one is offered to nobody.",
        "未定义客户等级：要求等级的产品不会推荐给任何人。",
    ),
    "tiers": ("Tiers from the lowest to the highest: {names}.", "客户等级由低到高：{names}。"),
    "tier_from": ("{name} (assets of {assets} or more)", "{name}（资产不低于{assets}）"),
    "debts": (
        "Balances of family {names} are owed to the bank and do not count as assets.",
        "{names}类产品的余额为客户欠款，不计入资产。",
    ),
    "channels": (
        "Channels: {names}. Where a request names none, {default} is used.",
        "渠道：{names}。未指定渠道时使用{default}。",
    ),
    "channel_cost": ("{name} ({cost} a contact and {minute} a minute)", "{name}（每次{cost}，每分钟{minute}）"),
    "channel_free": ("{name} (no cost)", "{name}（无成本）"),
    "stage": ("{name} (aged {low} to {high})", "{name}（{low}至{high}岁）"),
    "stages": ("Stages of life: {names}.", "人生阶段：{names}。"),
    "not_spoken": ("Never given as a reason: {names}.", "不作为推荐理由：{names}。"),
    "not_used": (
        "Hidden from the models, and never given as a reason: {names}.",
        "模型不使用、也不作为推荐理由：{names}。",
    ),
    # 2 eligibility
    "eligibility": ("Eligibility", "准入"),
    "catalogue_holds": (
        (
            "The conditions of the products table always hold beside these. Who does not meet a condition, or of whom "
            "the bank does not know whether, is not offered the product."
        ),
        "产品表中的条件始终同时有效。不满足条件、或银行无从得知是否满足的客户，不推荐该产品。",
    ),
    "no_eligibility": ("The policy adds none.", "策略未另设条件。"),
    "min_age": ("aged {value} or more", "须年满{value}岁"),
    "max_age": ("aged {value} at most", "不超过{value}岁"),
    "min_tier": ("of tier {value} or above", "等级不低于{value}"),
    "min_balance": ("with assets of {value} or more", "资产不低于{value}"),
    "requires": ("holding {value} already", "须已持有{value}"),
    "excludes": ("not holding {value}", "不得持有{value}"),
    # 3 suitability
    "suitability": ("Suitability", "适当性"),
    "pack": ("Judged by the pack {name}.", "按适当性规则包{name}判断。"),
    "sources": ("It follows: {names}.", "依据：{names}。"),
    "allowed": (
        "A customer of level {level} may be offered products rated {ratings}.",
        "{level}客户可推荐{ratings}产品。",
    ),
    "allowed_none": (
        "A customer of level {level} may be offered no rated product.",
        "{level}客户不可推荐任何有评级的产品。",
    ),
    "higher_counts": (
        (
            "The higher of the issuer's and the seller's rating counts; without a valid assessment nothing rated "
            "is offered."
        ),
        "发行方与销售方评级不一致时取较高者；没有有效评估的客户不推荐任何有评级的产品。",
    ),
    "valid": ("An assessment holds {days} at most.", "风险评估有效期最长{days}。"),
    "elderly": (
        "A retail customer aged {age} or more, or of unknown age, is not recommended products rated {rating} or above.",
        "{age}岁及以上（或年龄未知）的零售客户不推荐{rating}及以上产品。",
    ),
    "elderly_asks": (
        "Where such a customer asks for one, the step is: {step}.",
        "该类客户主动要求时须完成：{step}。",
    ),
    "min_assets": (
        "Products rated {rating} or above need assets of {value} or more.",
        "{rating}及以上产品要求资产不低于{value}。",
    ),
    "max_debt": (
        "Products rated {rating} or above are not for customers whose debts are above {value} times their assets.",
        "负债超过资产{value}倍的客户不推荐{rating}及以上产品。",
    ),
    "client_asked": (
        "When the client asks for the product, {reasons} does not exclude it, after the step: {step}.",
        "客户主动要求时，{reasons}不再排除该产品，但须先完成：{step}。",
    ),
    "client_asked_nothing": (
        "A client who asks is judged as if the bank recommended.",
        "客户主动要求时与银行主动推荐同样判断。",
    ),
    "barred": (
        "This is not open to customers of level {names}, or without a level.",
        "{names}客户及没有等级的客户不适用。",
    ),
    "RISK_ABOVE_TOLERANCE": ("a rating above the customer's level", "产品风险高于客户承受能力"),
    "ELDERLY_HIGH_RISK": ("the customer's age", "客户年龄"),
    "rated": ("Products of family {names} without a rating count as R5.", "{names}类产品若无评级，按R5处理。"),
    # 4 consent
    "consent": ("Consent", "授权"),
    "consent_newest": (
        (
            "The newest answer counts. Who refused marketing, or the channel, is offered nothing (through it); who "
            "refused personalisation gets what is popular, not what is chosen for the person."
        ),
        "以最新答复为准。拒绝营销或某渠道的客户不推荐（不通过该渠道推荐）；拒绝个性化的客户只看到大众热门产品。",
    ),
    "marketing_allowed": ("Without a record marketing counts as allowed.", "没有记录时，视为允许营销。"),
    "marketing_refused": ("Without a record marketing counts as refused.", "没有记录时，视为拒绝营销。"),
    "personalisation_allowed": (
        "Without a record personalisation counts as allowed.",
        "没有记录时，视为允许个性化推荐。",
    ),
    "personalisation_refused": (
        "Without a record personalisation counts as refused.",
        "没有记录时，视为拒绝个性化推荐。",
    ),
    # 5 contact policy
    "contact_policy": ("Contact policy", "触达规则"),
    "silence": ("after {what}: silence about {about} for {days}", "{what}后：{about}静默{days}"),
    "several": ("{outcomes} within {days}", "{days}内{outcomes}"),
    "contacted": ("a contact", "联系客户"),
    "accepted": ("an offer was accepted", "客户接受"),
    "declined": ("an offer was declined", "客户拒绝"),
    "later": ("an offer was put off", "客户表示以后再说"),
    "no_answer": ("no answer", "未联系上"),
    "times_contacted": ("{times} contacts", "联系客户{times}次"),
    "times_accepted": ("{times} offers accepted", "客户接受{times}次"),
    "times_declined": ("{times} offers declined", "客户拒绝{times}次"),
    "times_later": ("{times} offers put off", "客户{times}次表示以后再说"),
    "times_no_answer": ("{times} contacts without an answer", "未联系上{times}次"),
    "about_product": ("the product", "该产品"),
    "about_family": ("the product's family", "该类产品"),
    "about_channel": ("everything through the channel", "该渠道"),
    "about_all": ("everything", "全部产品"),
    "said_later": (
        (
            'Who says "later" hears nothing of the product for {after}, or until the day named; then its weight '
            "is {weight} for {raised}."
        ),
        "客户说“以后再说”的产品静默{after}，或至客户指定的日期；此后{raised}内权重为{weight}。",
    ),
    "no_later": ('"Later" has no consequence.', "“以后再说”不作特别处理。"),
    "complaint_silent": (
        "A complaint that is not resolved stops all offers; service actions go on.",
        "有未结投诉时停止一切营销，服务事项照常。",
    ),
    "complaint_ignored": ("A complaint that is not resolved changes nothing.", "未结投诉不影响推荐。"),
    # triggers
    "triggers": ("Triggers", "触发事件"),
    "no_triggers": ("None.", "无。"),
    "maturing": ("An account of family {family} matures within {days}", "{family}类产品将在{days}内到期"),
    "large_inflow": (
        "{least} or more came in, and {times} times the mean of the {periods} periods before or more",
        "本期流入不低于{least}，且不低于此前{periods}期均值的{times}倍",
    ),
    "salary_started": ("{product} was opened in the last {periods} periods", "最近{periods}期内新开{product}"),
    "salary_stopped": ("{product} was given up in the last {periods} periods", "最近{periods}期内停用{product}"),
    "loan_nearly_repaid": (
        "Of a product of family {family} {left} or less of the most that was owed is left, or it is due within {days}",
        "{family}类产品余额不高于最高欠款的{left}，或将在{days}内到期",
    ),
    "balance_falling": (
        "Assets fell to {to} or less of the mean of the {periods} periods before, which was {least} or more",
        "资产降至此前{periods}期均值的{to}以下（该均值不低于{least}）",
    ),
    "next_tier": (
        "Of {kind} customers: assets lack {within} or less of the next tier's threshold",
        "{kind}客户：资产距下一等级门槛不超过{within}",
    ),
    "life_stage_birthday": ("A birthday of {ages} is at most {days} away, before or after", "{ages}岁生日前后{days}内"),
    "raises": ("{when}: the weight of {what} is {weight}.", "{when}：{what}的权重为{weight}。"),
    "raises_nothing": ("{when}: nothing is raised.", "{when}：不提高任何产品。"),
    # service actions
    "service_actions": ("Service actions", "服务事项"),
    "no_actions": ("None.", "无。"),
    "action": ('When {when}: "{text}"', "{when}时：“{text}”"),
    "when_risk_assessment_expired": ("the risk assessment has expired", "风险评估过期"),
    "when_open_complaint": ("a complaint is open", "有未结投诉"),
    "when_trigger": ("the trigger {name} comes", "触发事件{name}发生"),
    # 6 arbitration
    "arbitration": ("Arbitration", "优选排序"),
    "priority": (
        "What is left is ranked by propensity x value x context x lever.",
        "其余产品按“购买倾向×价值×情境×杠杆”排序。",
    ),
    "value": (
        "Value counts {years} years of a holding at most, discounted by {rate} a year.",
        "价值最多计{years}年的持有期，年折现率{rate}。",
    ),
    "limits": ("All context weights together stay between {low} and {high}.", "全部情境权重合计限于{low}至{high}。"),
    "ceiling": (
        "All levers together multiply by {high} at most and {low} at least.",
        "全部杠杆合计不高于{high}倍、不低于{low}倍。",
    ),
    "ramp": (
        "A product never acquired has no floor and weight {weight}; both reach the usual at {evidence} acquisitions.",
        "从未有人购买的产品没有下限、权重为{weight}；随购买数增加，到{evidence}笔时恢复正常。",
    ),
    "no_ramp": ("A product without evidence gets no help.", "缺少数据的产品不作扶持。"),
    "no_floor": ("There is no floor: any propensity may be offered.", "未设下限：任何购买倾向都可推荐。"),
    "floor": ("offered with a propensity of {value} or more", "购买倾向不低于{value}才推荐"),
    "weight": ("context weight {value}", "情境权重{value}"),
    "lever": (
        "lever {value}, through {expires}; {owner} answers for it",
        "杠杆{value}，有效至{expires}，责任人：{owner}",
    ),
    # fairness
    "fairness": ("Fairness", "公平性"),
    "no_fairness": ("Nothing is watched.", "不监测。"),
    "watched": (
        (
            "By {names}: the lowest group's rate of being offered a product is {ratio} of the highest group's or more, "
            "and the Gini coefficient of offers {gini} at most."
        ),
        "按{names}监测：推荐率最低组与最高组之比不低于{ratio}，推荐的基尼系数不高于{gini}。",
    ),
    "watched_family": (
        "Family {family}: ratio {ratio} or more, Gini {gini} at most.",
        "{family}类产品：比值不低于{ratio}，基尼系数不高于{gini}。",
    ),
}
"""By name: English, Chinese."""
