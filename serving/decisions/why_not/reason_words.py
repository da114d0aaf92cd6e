"""What each reason means, whoever the customer and whatever the product."""

from ..reason_codes import Reason
from ..reasons.wording_parts import Said

REASON_WORDS: dict[Reason, Said] = {
    Reason.HELD: Said("held already", "客户已持有"),
    Reason.NOT_ON_SALE: Said("not on sale", "不在销售期内"),
    Reason.WRONG_CUSTOMER_KIND: Said("not sold to customers of this kind", "不面向该类客户销售"),
    Reason.TOO_YOUNG: Said(
        "the customer is below the age that is asked for, or of unknown age", "客户未达到年龄要求，或年龄未知"
    ),
    Reason.TOO_OLD: Said("the customer is above the age that is allowed", "客户超过年龄上限"),
    Reason.TIER_TOO_LOW: Said("the customer's tier is too low, or not known", "客户等级未达到要求，或等级未知"),
    Reason.BALANCE_TOO_LOW: Said("the customer's assets are too low, or not known", "客户资产未达到要求，或资产未知"),
    Reason.MISSING_PREREQUISITE: Said("another product has to be held first", "须先持有其他产品"),
    Reason.EXCLUDED_BY_HOLDING: Said("not sold beside what the customer holds", "与客户已持有的产品互斥"),
    Reason.RISK_ABOVE_TOLERANCE: Said(
        "the risk is above what the customer's risk level allows", "产品风险等级高于客户风险承受能力"
    ),
    Reason.RISK_ASSESSMENT_MISSING: Said("there is no risk assessment of the customer", "客户没有风险评估"),
    Reason.RISK_ASSESSMENT_EXPIRED: Said("the customer's risk assessment has expired", "客户风险评估已过期"),
    Reason.ELDERLY_HIGH_RISK: Said(
        "the risk is too high to be recommended at the customer's age", "客户年龄较高或未知，不主动推荐高风险产品"
    ),
    Reason.FUNDS_MISMATCH: Said(
        "the risk does not match the customer's assets and debts", "产品风险与客户资产负债状况不匹配"
    ),
    Reason.MARKETING_REFUSED: Said(
        "the customer refuses marketing, or never agreed to it; nothing may be offered through any channel",
        "客户拒绝或未授权营销，任何渠道均不得推荐",
    ),
    Reason.CHANNEL_REFUSED: Said("the customer refuses marketing through this channel", "客户拒绝通过该渠道接收营销"),
    Reason.PERSONALISATION_REFUSED: Said("by popularity: personalisation refused", "按热度排序：客户拒绝个性化推荐"),
    Reason.RECENTLY_DECLINED: Said("declined lately, and left in peace since", "客户近期已拒绝，处于静默期"),
    Reason.RECENTLY_CONTACTED: Said(
        "the customer was contacted lately, or asked to wait", "近期已联系客户或客户表示以后再说，处于静默期"
    ),
    Reason.CONTACT_LIMIT_REACHED: Said(
        "the customer was contacted as often as the contact policy allows", "已达到触达频次上限"
    ),
    Reason.OPEN_COMPLAINT: Said(
        "a complaint is open, and nothing is offered until it is resolved", "客户有未结投诉，处理完毕前不作推荐"
    ),
    Reason.PROPENSITY_BELOW_FLOOR: Said("too unlikely to be taken", "购买倾向低于策略下限"),
    Reason.OUTRANKED: Said("others come first, within as many as were asked for", "排序靠后，未进入所要求的推荐数量"),
}
"""Of every reason."""
