"""Whether a text is Chinese: what is left of it without codes has no Latin letters."""

import re
from collections.abc import Iterable

from features import Catalogue
from serving.decisions.policy.suitability_pack import SuitabilityPack


def untranslated(text: str, codes: Iterable[str]) -> list[str]:
    """Words of a Chinese text that are neither Chinese nor one of `codes`, a risk level or a rating."""
    for code in sorted(codes, key=len, reverse=True):
        text = text.replace(code, "")
    return [word for word in re.findall(r"[A-Za-z]+\d?", text) if not re.fullmatch(r"[CR][1-5]", word)]


def codes_of(catalogue: Catalogue, pack: SuitabilityPack) -> set[str]:
    """What stays as it is: ids of products, names that have no Chinese, steps."""
    codes = {product.product_id for product in catalogue.products}
    codes |= {product.name for product in catalogue.products if not product.name_zh}
    return codes | {part.step for part in (pack.elderly, pack.client_asked) if part is not None}
