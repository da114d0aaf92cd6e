"""The chain for new products, rung by rung on counts made by hand, then through `Bundle.propensities` on real banks."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from features import Catalogue, block_of, current_states
from features.build import build_states
from features.catalogue import Product
from features.contracts import FAMILY
from tests.training.banks import light, once, rewrite, synthetic_tables
from training import Bundle
from training.jobs.train import fit_bundle
from training.models import MODELS
from training.probabilities.fallback import ENOUGH, OTHER_FAMILY, PRIOR, Fallback, likeness

K = PRIOR


def product(product_id, family="funds", customer_kind="retail", **more):
    fields = dict.fromkeys(Product.__dataclass_fields__) | {"requires": (), "excludes": (), "repeatable": False}
    fields |= {"product_id": product_id, "name": product_id, "family": family, "customer_kind": customer_kind}
    return Product(**fields | more)


class TestLikeness:
    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            ({}, 1),
            ({"family": "loans"}, OTHER_FAMILY),
            ({"risk_rating": "R4"}, 1 / (1 + 2)),
            ({"risk_rating": None}, 1),
            ({"annual_margin": 800.0}, 1 / (1 + 3)),
            ({"annual_margin": 50.0}, 1 / (1 + 1)),
            ({"annual_margin": -3.0}, 1),
            ({"min_tier": "gold"}, 1 / (1 + 1)),
            ({"customer_kind": "both"}, 1 / (1 + 1)),
            ({"family": "loans", "risk_rating": "R3", "annual_margin": 200.0}, OTHER_FAMILY / (1 + 1 + 1)),
        ],
    )
    def test_falls_with_every_difference_known(self, other, expected):
        one = product("one", risk_rating="R2", annual_margin=100.0)
        two = replace(one, product_id="two", **other)
        assert likeness(one, two) == pytest.approx(expected)
        assert likeness(two, one) == pytest.approx(expected)


RETAIL_FUND, RETAIL_LOAN, CORPORATE_LOAN = product("a"), product("b", "loans"), product("c", "loans", "corporate")


def fallback_of(*columns):
    """Of the three products; a column is a product's (candidates, acquired) in two segments of retail customers, then
    in two of corporate ones."""
    counts = np.array(columns, dtype=float)
    return Fallback(Catalogue((RETAIL_FUND, RETAIL_LOAN, CORPORATE_LOAN)), counts.transpose(2, 1, 0).copy())


COUNTS = (
    ((1000, 30), (1000, 10), (0, 0), (0, 0)),
    ((1000, 5), (1000, 5), (0, 0), (0, 0)),
    ((0, 0), (0, 0), (500, 2), (500, 2)),
)

NEVER_ACQUIRED = ((1000, 0), (1000, 0), (0, 0), (0, 0))


def shrunk(acquired, candidates, above):
    return (acquired + K) / (candidates + K / above)


OF_ALL = (54 + 0.5) / (5000 + 1)


class TestRungs:
    """Of products that the bundle does not know."""

    def test_first_all_products(self):
        # nobody corporate could acquire anything: what is known is what retail customers do
        retail_only = fallback_of(*COUNTS[:2], ((0, 0),) * 4)
        of_all = (50 + 0.5) / (4000 + 1)
        np.testing.assert_allclose(retail_only.rates(product("x", "cards", "corporate"))[2:], of_all)

    def test_second_all_products_of_the_kind(self):
        # one product is sold to corporate customers, of another family, in a segment that nobody is in
        found = fallback_of(*COUNTS[:2], ((0, 0), (0, 0), (1000, 4), (0, 0))).rates(product("x", "cards", "corporate"))
        of_kind = shrunk(4, 1000, OF_ALL)
        alike = shrunk(OTHER_FAMILY * 4, OTHER_FAMILY * 1000, of_kind)
        assert found[3] == pytest.approx(alike)
        assert found[2] == pytest.approx(shrunk(OTHER_FAMILY * 4, OTHER_FAMILY * 1000, alike))

    def test_third_the_family_first(self):
        # in the second segment nothing was for sale
        found = fallback_of(((1000, 30), (0, 0), (0, 0), (0, 0)), ((1000, 5), (0, 0), (0, 0), (0, 0)), COUNTS[2])
        of_all = (39 + 0.5) / (3000 + 1)
        of_kind = shrunk(35, 2000, of_all)
        fund = shrunk(30 + OTHER_FAMILY * 5, 1000 + OTHER_FAMILY * 1000, of_kind)
        loan = shrunk(5 + OTHER_FAMILY * 30, 1000 + OTHER_FAMILY * 1000, of_kind)
        assert found.rates(product("x", "funds"))[1] == pytest.approx(fund)
        assert found.rates(product("x", "loans"))[1] == pytest.approx(loan)
        assert fund > 2 * loan

    def test_fourth_the_segment(self):
        found = fallback_of(*COUNTS).rates(product("x", "funds"))
        of_kind = shrunk(50, 4000, OF_ALL)
        alike = shrunk(40 + OTHER_FAMILY * 10, 2000 + OTHER_FAMILY * 2000, of_kind)
        candidates = 1000 + OTHER_FAMILY * 1000
        assert found[0] == pytest.approx(shrunk(30 + OTHER_FAMILY * 5, candidates, alike))
        assert found[1] == pytest.approx(shrunk(10 + OTHER_FAMILY * 5, candidates, alike))

    def test_whom_it_is_not_sold_to_is_asked_last(self):
        found = fallback_of(*COUNTS).rates(product("x", "funds"))
        assert ((found[2:] > 0) & (found[2:] < 1e-6)).all()
        assert (fallback_of(*COUNTS).rates(product("x", "funds", "both")) > 1e-3).all()

    def test_a_product_sold_to_both_kinds_has_rates_of_each(self):
        found = fallback_of(*COUNTS).rates(product("x", "loans", "both"))
        assert found[:2] == pytest.approx(shrunk_for_both()[0])
        assert found[2:] == pytest.approx(shrunk_for_both()[1])


def shrunk_for_both():
    """Rung 4 of a loan sold to both kinds: each product there is differs by its kind, so it counts half."""
    half, tenth = 1 / 2, OTHER_FAMILY / 2
    retail = shrunk(tenth * 40 + half * 10, tenth * 2000 + half * 2000, shrunk(50, 4000, OF_ALL))
    corporate = shrunk(half * 4, half * 1000, shrunk(4, 1000, OF_ALL))
    candidates = half * 1000 + tenth * 1000
    return (
        [shrunk(tenth * fund + half * 5, candidates, retail) for fund in (30, 10)],
        [shrunk(half * 2, half * 500, corporate)] * 2,
    )


class TestKnownProducts:
    def test_do_not_vouch_for_themselves(self):
        one, other = (fallback_of(COUNTS[0], loan, COUNTS[2]) for loan in (COUNTS[1], NEVER_ACQUIRED))
        stranger = product("x", "loans")
        assert (other.rates(stranger)[:2] < one.rates(stranger)[:2]).all()
        ratio = one.rates(RETAIL_LOAN)[:2] / other.rates(RETAIL_LOAN)[:2]
        # the same chain, times what was acquired of the product itself
        assert ratio == pytest.approx((10 + K) / (0 + K))

    def test_that_were_for_sale_and_not_acquired_are_unwanted(self):
        unwanted = fallback_of(COUNTS[0], NEVER_ACQUIRED, COUNTS[2])
        hardly_offered = fallback_of(COUNTS[0], ((1, 0), (1, 0), (0, 0), (0, 0)), COUNTS[2])
        expected = unwanted.rates(replace(RETAIL_LOAN, product_id="x"))[:2].sum() * 1000
        assert unwanted.rates(RETAIL_LOAN)[0] < 2 * K / expected * hardly_offered.rates(RETAIL_LOAN)[0]

    def test_lie_between_what_was_and_what_was_to_be_expected(self):
        # it is all that is sold to corporate customers, so without it there is rung 1
        expected = 1000 * (50 + 0.5) / (4000 + 1)
        candidates = np.array(COUNTS[2])[:, 0]
        found = candidates @ fallback_of(*COUNTS).rates(CORPORATE_LOAN)
        assert found == pytest.approx(expected * (4 + K) / (expected + K), rel=1e-4)
        assert 4 < found < expected


RARE = (COUNTS[0], ((1000, 1), (1000, 1), (0, 0), (0, 0)), COUNTS[2])
"""The second product was acquired twice."""


class TestMix:
    catalogue = Catalogue((RETAIL_FUND, RETAIL_LOAN, CORPORATE_LOAN))
    segments = np.array([0, 1, 0], dtype=np.int32)
    propensities = np.array([[0.3, 0.1, 0.01], [0.2, 0.25, 0.02], [0.0, 0.5, 0.9]], dtype=np.float32)

    def test_is_by_evidence(self):
        found = fallback_of(*RARE)
        mixed = found.mix(self.propensities, self.catalogue, self.segments)
        rung = found.rates(RETAIL_LOAN)[self.segments]
        n, s = 2, ENOUGH - 2
        np.testing.assert_allclose(mixed[:, 1], (n * self.propensities[:, 1] + s * rung) / (n + s), rtol=1e-6)

    def test_leaves_an_established_product_to_its_model(self):
        mixed = fallback_of(*RARE).mix(self.propensities, self.catalogue, self.segments)
        assert mixed[:, 0].tobytes() == self.propensities[:, 0].tobytes()
        enough = fallback_of(*[tuple((1000, ENOUGH) for _ in range(4))] * 3)
        assert enough.mix(self.propensities, self.catalogue, self.segments).tobytes() == self.propensities.tobytes()

    def test_of_a_product_not_known_is_its_rung_alone(self):
        found = fallback_of(*RARE)
        wider = Catalogue((product("0", "loans"), *self.catalogue.products))
        columns = np.hstack([np.zeros((3, 1), np.float32), self.propensities])
        mixed = found.mix(columns, wider, self.segments)
        np.testing.assert_allclose(mixed[:, 0], found.rates(wider.products[0])[self.segments], rtol=1e-6)
        known = found.mix(self.propensities, self.catalogue, self.segments)
        assert mixed[:, 1:].tobytes() == known.tobytes()

    def test_of_one_customer_is_as_in_a_block_bit_for_bit(self):
        found = fallback_of(*RARE)
        mixed = found.mix(self.propensities, self.catalogue, self.segments)
        for row in range(3):
            alone = found.mix(self.propensities[[row]], self.catalogue, self.segments[[row]])
            assert alone.tobytes() == mixed[[row]].tobytes()

    def test_does_not_change_what_it_was_given(self):
        given = self.propensities.copy()
        fallback_of(*RARE).mix(given, self.catalogue, self.segments)
        assert given.tobytes() == self.propensities.tobytes()

    def test_is_the_same_after_loading(self, tmp_path):
        found = fallback_of(*RARE)
        found.save(tmp_path / "fallback.npy")
        loaded = Fallback.load(tmp_path / "fallback.npy", self.catalogue)
        mixed = [each.mix(self.propensities, self.catalogue, self.segments) for each in (found, loaded)]
        assert mixed[0].tobytes() == mixed[1].tobytes()


NEW_PRODUCTS = (
    ("new_fund", "funds", "retail", "R3"),
    ("new_novelty", "novelty", "retail", "R3"),
    ("new_service", "novelty", "corporate", "R3"),
)
NEW_CUSTOMERS = {"Z1": "retail", "Z2": "corporate"}
"""Known by nothing but their kind, since the newest month."""


@pytest.fixture(scope="module")
def bank(session_folder, tmp_path_factory):
    """States of the synthetic bank before and after it has new products and new customers, and a bundle of before."""

    def make(folder):
        build_states(synthetic_tables(session_folder), folder)

    before = current_states(once(session_folder, "before", make))
    folder = tmp_path_factory.mktemp("after")
    shutil.copytree(synthetic_tables(session_folder), folder / "tables")
    rows = ", ".join(f"('{i}', '{i}', '{i}', '{f}', '{k}', '{r}')" for i, f, k, r in NEW_PRODUCTS)
    rewrite(
        folder / "tables",
        "products",
        f"SELECT * FROM t UNION ALL BY NAME SELECT * FROM (VALUES {rows}) "
        "AS v(product_id, name, name_zh, family, customer_kind, risk_rating)",
    )
    rows = ", ".join(f"('{customer}', '{kind}', DATE '2026-06-10')" for customer, kind in NEW_CUSTOMERS.items())
    rewrite(
        folder / "tables",
        "customers",
        f"SELECT * FROM t UNION ALL BY NAME SELECT *, onboarded_on AS valid_from FROM (VALUES {rows}) "
        "AS v(customer_id, kind, onboarded_on)",
    )
    build_states(folder / "tables", folder)
    return before, current_states(folder), fit_bundle(before, light())[0]


def everyone(states, period=None):
    return block_of(states, np.arange(states.n_customers), states.as_of_period if period is None else period)


class TestNewProducts:
    @pytest.mark.parametrize("model", MODELS)
    def test_are_candidates_with_a_probability_and_leave_the_others_alone(self, bank, model):
        before, after, bundle = bank
        block = everyone(after)
        found = bundle.propensities(block, model)
        for product_id, *_ in NEW_PRODUCTS:
            column = after.catalogue.position_of(product_id)
            candidates = block.candidates[:, column]
            assert candidates.any()
            assert ((found[candidates, column] > 0) & (found[candidates, column] < 0.2)).all()
            assert (found[~candidates, column] == 0).all()
        known = [after.catalogue.position_of(product_id) for product_id in before.catalogue.product_ids]
        same = found[: before.n_customers, known]
        assert same.tobytes() == bundle.propensities(everyone(before), model).tobytes()

    def test_lie_among_their_family_in_the_segment(self, bank):
        _, after, bundle = bank
        block, found = everyone(after), bundle.propensities(everyone(after), "popularity")
        family = [p.product_id for p in bundle.catalogue.products if getattr(p, FAMILY) == "funds"]
        columns = [after.catalogue.position_of(p) for p in family]
        new = after.catalogue.position_of("new_fund")
        rows = block.candidates[:, [*columns, new]].all(axis=1)
        assert rows.sum() > 50
        mean, of_family = found[rows, new].mean(), found[rows][:, columns].mean(axis=0)
        assert of_family.min() / 2 < mean < of_family.max() * 2
        segment_means = [found[rows & (block.segments == s), new] for s in np.unique(block.segments[rows])]
        assert all(np.ptp(values) == 0 for values in segment_means)
        assert len({values[0] for values in segment_means}) > 3

    def test_of_a_new_family_are_what_is_usual_for_the_kind(self, bank):
        _, after, bundle = bank
        block, found = everyone(after), bundle.propensities(everyone(after), "popularity")
        for product_id, kind in (("new_novelty", 0), ("new_service", 1)):
            column = after.catalogue.position_of(product_id)
            rows = (block.kinds == kind) & block.candidates[:, column]
            others = found[rows][:, : len(bundle.catalogue)][block.candidates[rows][:, : len(bundle.catalogue)]]
            assert others.mean() / 3 < found[rows, column].mean() < others.mean() * 3

    def test_serve_from_the_bundle_s_folder_as_before(self, bank, tmp_path):
        _, after, bundle = bank
        bundle.save(tmp_path)
        served = Bundle.open(tmp_path, only_selected=True)
        block = everyone(after)
        assert served.propensities(block).tobytes() == bundle.propensities(block).tobytes()
        for row in range(0, block.n_customers, 97):
            alone = served.propensities(block_of(after, block.positions[[row]], block.period))
            assert alone.tobytes() == bundle.propensities(block)[[row]].tobytes()

    def test_would_have_been_expected_about_as_often_as_they_were_acquired(self, bank):
        """Each product asked about as if nothing were known of it."""
        _, _, bundle = bank
        candidates, acquired = bundle.fallback._counts
        logs = []
        for column, known in enumerate(bundle.catalogue.products):
            expected = candidates[:, column] @ bundle.fallback.rates(replace(known, product_id="unknown"))
            logs.append(np.log((acquired[:, column].sum() + 1) / (expected + 1)))
        # within a factor of three for most, and neither too many nor too few
        assert np.mean(np.abs(logs) < np.log(3)) > 0.7
        assert abs(np.mean(logs)) < 0.4


class TestNewCustomers:
    """What is not known of a customer, rung by rung."""

    def row_of(self, states, customer_id, period=None):
        position = np.array([states.position_of(customer_id)])
        return block_of(states, position, states.as_of_period if period is None else period)

    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("customer", NEW_CUSTOMERS)
    def test_without_history_or_attributes_are_scored(self, bank, model, customer):
        _, after, bundle = bank
        block = self.row_of(after, customer)
        assert not block.words.any()
        found = bundle.propensities(block, model)[block.candidates]
        assert ((found > 0) & (found < 0.5)).all()
        assert len(np.unique(found)) > 5

    def test_with_attributes_but_no_history_have_the_rates_of_their_segment(self, bank):
        before, _, bundle = bank
        block = everyone(before)
        found = bundle.propensities(block.without(block.held), "popularity")
        held = bundle.propensities(block, "popularity")
        assert np.array_equal(found[block.candidates], held[block.candidates])

    def test_of_unknown_tier_and_age_fall_back_to_all_customers(self, bank):
        # nobody the bundle learnt from is of that segment, so its rates are those of all
        _, after, bundle = bank
        block = self.row_of(after, "Z2")
        everybody = bundle.models["popularity"]._rates[-1]
        aligned = bundle.layout.align(block)
        assert np.array_equal(bundle.models["popularity"].score(aligned)[0], everybody)

    @pytest.mark.parametrize("model", ["popularity", "association_rules", "transition", "ease", "bpr"])
    def test_not_known_yet_count_as_retail_of_whom_nothing_is_known(self, bank, model):
        _, after, bundle = bank
        period = after.as_of_period - 1
        block = self.row_of(after, "Z2", period)
        assert block.versions.tolist() == [-1]
        retail = self.row_of(after, "Z1")
        shared = block.candidates & retail.candidates
        found, expected = bundle.propensities(block, model), bundle.propensities(retail, model)
        assert np.array_equal(found[shared], expected[shared])

    def test_not_known_yet_are_offered_what_is_sold_to_corporate_customers_last(self, bank):
        _, after, bundle = bank
        block = self.row_of(after, "Z2", after.as_of_period - 1)
        for product_id in ("new_novelty", "new_service"):
            assert block.candidates[0, after.catalogue.position_of(product_id)]
        found = bundle.propensities(block)[0]
        assert found[after.catalogue.position_of("new_service")] < 1e-6
        assert found[after.catalogue.position_of("new_novelty")] > 1e-5
