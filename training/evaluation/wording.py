"""What the page calls things, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

FACETS: Mapping[str, tuple[str, str]] = {
    "kind": ("Kind of customer", "客户类型"),
    "tier": ("Tier", "客户等级"),
    "tenure": ("Time with the bank", "开户时长"),
    "holdings": ("Holdings", "持有情况"),
    "acquaintance": ("New or known", "新老客户"),
    "age": ("Age", "年龄"),
}

METRICS: Mapping[str, str] = {
    "hit_rate": "命中率",
    "precision": "精确率",
    "recall": "召回率",
    "mrr": "平均倒数排名",
    "map": "平均精度均值",
    "ndcg": "归一化折损累计增益",
    "share_of_ceiling": "占上限比例",
    "share_of_truth": "占真实概率排序的比例",
    "coverage": "产品覆盖率",
    "auc": "区分度",
    "calibration_error": "校准误差",
    "calibration_error_selected": "入选推荐的校准误差",
    "calibration_noise_selected": "入选推荐的随机误差",
    "calibration_error_selected_truth": "入选推荐对真实概率的校准误差",
    "expected_over_realised_selected": "入选推荐的预期与实际之比",
}

PROTOCOLS: Mapping[str, tuple[str, str]] = {
    "periods": (
        "at each date kept unseen, everybody was ranked by what was known then, and judged by what they acquired next",
        "在每个留出日期，按当时已知信息为所有客户排序，并以其后新增持有评判",
    ),
    "occasions": (
        "at each recorded occasion after the cut, the products then buyable were ranked, and judged by what was bought",
        "在截止日之后的每次购买时点，对当时可购产品排序，并以实际购买评判",
    ),
    "hide-one": (
        "one holding of each test customer was hidden, and asked back from the others",
        "隐藏每位测试客户的一项持有，由其余持有推断",
    ),
}

GLOSSARY: tuple[tuple[str, str, str], ...] = (
    ("holding", "持有", "a customer has a product at a period's end"),
    (
        "acquisition",
        "新增持有",
        "a product not held at the date, opened within the horizon after it: the only thing predicted and scored",
    ),
    ("candidate", "候选产品", "a product that could be acquired: not held, on sale, for this kind of customer"),
    ("propensity", "购买倾向", "calibrated probability of acquisition within the horizon"),
    ("champion", "冠军模型", "the model version in use"),
    (
        "selected offers",
        "入选推荐",
        "the first few candidates of each customer, as the model itself ranks them: what would be shown",
    ),
    ("ceiling", "上限", "what a ranking that knows the future would reach: most customers acquire nothing in a period"),
    (
        "interval",
        "置信区间",
        "95%, over customers: how far the figure might be off because these customers were met and not others",
    ),
)


def metric_title(name: str) -> tuple[str, str]:
    """``map@7`` as people write it, in English and in Chinese."""
    metric, _, k = name.partition("@")
    short = {"map": "MAP", "ndcg": "NDCG", "mrr": "MRR", "auc": "AUC"}.get(metric, metric.replace("_", " "))
    short = short[0].upper() + short[1:]
    return f"{short}@{k}" if k else short, METRICS.get(metric, "")
