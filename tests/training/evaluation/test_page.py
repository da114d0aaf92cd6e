"""The page is sound HTML, asks nothing of anybody, and says what the report says."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.training.evaluation.fixtures import constant, ranking, rows_of
from tests.training.evaluation.test_evaluator import in_turn, judge, random_rows
from tests.training.evaluation.test_slices import ByPosition
from training.evaluation import BASELINE, BootstrapInterval, EvaluationReport
from training.evaluation.backtest import Backtest, Origin
from training.evaluation.importance import Importance, Level, UnitImportance
from training.evaluation.learning_curve import LearningCurve, LearningPoint
from training.evaluation.page import PANELS_SHOWN, render_page
from training.evaluation.page_tables import ProductName
from training.evaluation.report import Subject

VOID = {"meta", "br", "line", "circle", "polyline"}
PRODUCT_IDS = ("card", "fund", "loan", "<b>bold</b>", "x&y", "zero")
NAMES = {
    "card": ProductName("Card", "信用卡", "cards"),
    "fund": ProductName('Fund "A" <script>alert(1)</script>', "基金", "funds"),
    "loan": ProductName("Loan", None, "loans"),
}


class Page(HTMLParser):
    """Elements, texts, and the cells of each table's rows."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.attributes, self.tags = [], [], []
        self.rows, self.sections, self._cell, self.cells = {}, [], None, {}
        self.text = []
        self._table = self._row = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        named = dict(attrs)
        assert len(named) == len(attrs), f"an attribute twice in {tag}"
        if tag == "table":
            self._table = named["id"]
        if tag == "tr":
            self._row = named.get("data-key")
        if tag == "td":
            self._cell = ""
        if tag == "section":
            self.sections.append(named["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:  # <line/> is told as an end as well
            return
        assert self.open.pop() == tag
        if tag == "td" and self._row is not None:
            self.rows.setdefault((self._table, self._row), []).append(self._cell.strip())
            self._cell = None

    def handle_data(self, data):
        self.text.append(data)
        if self._cell is not None and "svg" not in self.open:
            self._cell += data


@pytest.fixture(scope="module")
def report():
    batches, truths = random_rows(21)
    found = judge(
        batches,
        {"sharp": in_turn(truths), BASELINE: ranking(0, 1, 2), "blunt": ranking(5, 4)},
        ["sharp", BASELINE],
        ks=(1, 3, 7),
        truth=in_turn(truths),
        facets=ByPosition(3),
    )
    return EvaluationReport.of(
        found,
        protocol="periods",
        selected="sharp",
        product_ids=PRODUCT_IDS,
        period_name=lambda period: f"period {period}",
        subject=Subject("4", "run", "build<1>", "2024-06-30"),
    )


def interval(value):
    return BootstrapInterval(value, value - 0.001, value + 0.001)


EXTRAS = {
    "importance": Importance(
        "sharp",
        "map@7",
        100,
        2,
        (
            UnitImportance("holdings", Level.FAMILY, "holdings", 40, interval(0.31)),
            UnitImportance("tenure", Level.GROUP, "holdings", 20, interval(0.21)),
            UnitImportance("tenure:<i>", Level.FEATURE, "holdings", 1, interval(-0.01)),
        ),
    ),
    "learning_curve": LearningCurve(
        "map@7",
        tuple(
            LearningPoint(
                share,
                {"sharp": interval(share / 9), BASELINE: interval(share / 11)},
                dict.fromkeys(("sharp", BASELINE), interval(0.02)),
            )
            for share in (0.1, 0.4, 1.0)
        ),
    ),
    "backtest": Backtest(
        "build<1>",
        "map@7",
        tuple(
            Origin(
                f"2024-0{month}-30", "sharp", 10, 10, 3, 4,
                {"sharp": {"map@7": interval(0.1 * month)}, BASELINE: {"map@7": interval(0.09)}}, interval(0.01),
            )
            for month in (2, 4, 6)
        ),
        {"sharp": interval(0.4321), BASELINE: interval(0.1234)},
        {"sharp": interval(0.3087)},
        {"sharp": interval(0.7), BASELINE: interval(0.2)},
        interval(0.4321),
        interval(0.3087),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def text(report):
    return render_page(report, NAMES, **EXTRAS)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_nothing_is_fetched_or_run(page, text):
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "srcset", "style") or name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name.endswith("href"))
    for word in ("http", "url(", "@import", "//"):
        assert word not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_links_lead_somewhere_and_ids_are_unique(page):
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert {value[1:] for name, value in page.attributes if name == "href"} <= set(ids)


def test_texts_of_the_bank_are_escaped(page, text):
    assert "<script>" not in text
    assert "<b>bold</b>" not in text
    assert "<b>bold</b>" in "".join(page.text)
    assert 'Fund "A" <script>alert(1)</script>' in "".join(page.text)
    assert "build<1>" in "".join(page.text)


def test_models_are_those_of_the_report(page, report):
    stored = json.loads(report.to_json())
    for model, metrics in stored["models"].items():
        cells = page.rows["models", model]
        found = metrics["map@7"]
        assert cells[0] == f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"
        if model == "sharp":
            assert cells[1] == "–"
        else:
            difference = stored["comparison"]["differences"][model]
            assert cells[1] == f"{difference['value']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"
        named = [metrics.get(name) for name in ("hit_rate@3", "recall@3", "ndcg@7", "auc")]
        assert cells[2:6] == [f"{each['value']:.4f}" if each else "–" for each in named]
    order = [row for table, row in page.rows if table == "models"]
    assert order == sorted(order, key=lambda model: -stored["models"][model]["map@7"]["value"])


def test_slices_are_those_of_the_report(page, report):
    stored = json.loads(report.to_json())["slices"]
    assert stored
    for facet, labels in stored.items():
        for label, found in labels.items():
            cells = page.rows["slices", f"{facet}/{label}"]
            assert cells[0] == f"{found['customers']:,}"
            assert cells[1] == f"{found['acquirers']:,}"
            assert cells[2].startswith(f"{found['models']['sharp']['value']:.4f} [")
            assert cells[3].startswith(f"{found['above_baseline']['sharp']['value']:+.4f} [")


def test_products_and_counts_are_those_of_the_report(page, report):
    stored = json.loads(report.to_json())
    for product in PRODUCT_IDS:
        found, figures = stored["product_slices"][product], stored["per_product"]["sharp"][product]
        cells = page.rows["products", product]
        assert cells[0] == f"{found['acquisitions']:,}"
        assert cells[3] == f"{figures['auc']:.3f}"
        assert cells[4] == f"{figures['calibration_error']:.4f}"
        dates = [found[product] for found in stored["expected_and_realised"]["sharp"].values()]
        cells = page.rows["counts", product]
        assert cells[0] == f"{sum(date['expected'] for date in dates):,.1f}"
        assert cells[1] == f"{sum(date['realised'] for date in dates):,}"
    for date, products in stored["expected_and_realised"]["sharp"].items():
        assert page.rows["counts", date][1] == f"{sum(found['realised'] for found in products.values()):,}"


def test_what_was_measured_besides_is_there(page):
    assert page.rows["importance-1", "holdings"][0] == "31.0% [30.9%, 31.1%]"
    assert page.rows["importance-3", "tenure:<i>"][0] == "-1.0% [-1.1%, -0.9%]"
    assert page.rows["curve", "0.4"][0] == f"{0.4 / 9:.4f} [{0.4 / 9 - 0.001:.4f}, {0.4 / 9 + 0.001:.4f}]"
    assert page.rows["backtest", BASELINE][0].startswith("0.1234 [")
    assert page.rows["backtest", "as selected"][1].startswith("+0.3087 [")


def test_what_was_not_measured_is_said_how_to_get(report):
    alone = Page(render_page(report, NAMES))
    said = "".join(alone.text)
    assert "nextproduct evaluate WORKSPACE --full" in said
    assert "nextproduct backtest WORKSPACE" in said
    assert "importance-section" in alone.sections


def test_summary_says_what_matters(page, report):
    said = " ".join("".join(page.text).split())
    ratio = report.comparison.ratio
    assert "sharp is better than popularity, beyond chance." in said
    assert f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" in said
    assert f"{report.models['sharp']['share_of_truth@7'].value:.3f} [" in said
    assert "冠军模型" in said


def test_a_baseline_that_serves_nobody_who_acquires(report):
    found = judge([random_rows(3)[0][0]], {BASELINE: ranking(0)}, [BASELINE])
    only = EvaluationReport.of(found, protocol="hide-one", selected=BASELINE, product_ids=PRODUCT_IDS)
    assert "the baseline, was selected" in "".join(Page(render_page(only, NAMES)).text)


def test_without_any_acquisition_there_is_still_a_page():
    batches, _ = random_rows(5)
    for batch in batches:
        batch.batch.acquired[:] = False
    found = judge(batches, {"sharp": ranking(1), BASELINE: ranking(0)}, ["sharp", BASELINE], facets=ByPosition(2))
    empty = EvaluationReport.of(found, protocol="periods", selected="sharp", product_ids=PRODUCT_IDS)
    assert "cannot be told apart" in "".join(Page(render_page(empty, NAMES)).text)


def test_panels_of_rare_products_are_folded_away():
    n = PANELS_SHOWN + 3
    rng = np.random.default_rng(0)
    acquired = rng.random((60, n)) < np.linspace(0.5, 0.02, n)
    found = judge([rows_of(np.ones_like(acquired), acquired)], {BASELINE: constant(np.full(n, 0.2))}, [BASELINE])
    ids = tuple(f"p{number:02}" for number in range(n))
    text = render_page(EvaluationReport.of(found, protocol="periods", selected=BASELINE, product_ids=ids), {})
    before, _, after = text.partition("<details>")
    assert before.count('class="panel"') == PANELS_SHOWN
    assert after.count('class="panel"') == 3
    Page(text)
