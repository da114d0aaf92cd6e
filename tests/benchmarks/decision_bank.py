"""A bank of a million customers with everything that a policy looks at, and a policy of forty rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.catalogue import Catalogue
from features.contracts import OUTCOMES, PURPOSES
from features.sql.queries import FLOW_KEYS
from features.states import MANIFEST
from features.states.arrays import row_pointers
from features.states.events import NEVER, EventLog
from features.states.history import HoldingsHistory
from features.states.panels import Panel
from features.states.profile import MISSING_DAY, Profile
from serving.decisions import Policy
from tests.benchmarks import bench_features
from tests.benchmarks.bench_features import CALENDAR, N_CUSTOMERS, N_MONTHS, N_PRODUCTS, NEWEST

TODAY = CALENDAR.as_of_day(NEWEST)
FAMILIES = ("deposits", "cards", "loans", "wealth", "funds", "insurance")
CHANNELS = ("rm", "phone", "sms", "app")


def write_bank(folder: Path) -> None:
    """Write states of the bank of `bench_features`, with balances, flows, contacts, consents, complaints, maturities
    and risk assessments."""
    rng = np.random.default_rng(0)
    bench_features.write_states(folder, bench_features.simulated_words(rng), rng)
    _describe_products(folder)
    _assess(folder, rng)
    _add_balances(folder, rng)
    _add_events(folder, rng)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["key_names"] |= {
        "balances": Catalogue.load(folder / "catalogue.json").product_ids, "flows": FLOW_KEYS,
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _describe_products(folder: Path) -> None:
    catalogue = Catalogue.load(folder / "catalogue.json")
    products = []
    for number, product in enumerate(catalogue.products):
        family = FAMILIES[number % len(FAMILIES)]
        invested = family in ("wealth", "funds", "insurance")
        products.append(
            replace(
                product,
                family=family,
                risk_rating=f"R{1 + number % 5}" if invested else None,
                issuer_risk_rating=f"R{1 + (number + 1) % 5}" if invested and number % 4 == 0 else None,
                annual_margin=100.0 * (1 + number),
                contact_minutes=5.0 + number,
                min_age=18.0 if number % 3 else None,
                max_age=65.0 if family in ("cards", "loans") else None,
                min_tier="wealth" if number == 21 else None,
                min_balance=50_000.0 if number % 8 == 3 else None,
                requires=("p00",) if number % 7 == 5 else (),
                excludes=(f"p{number - 6:02d}",) if number % 11 == 10 else (),
            )
        )
    Catalogue(tuple(products)).save(folder / "catalogue.json")


def _assess(folder: Path, rng: np.random.Generator) -> None:
    profile = Profile.load(folder / "profile")
    levels = rng.integers(1, 6, N_CUSTOMERS).astype(np.float32)
    levels[rng.random(N_CUSTOMERS) < 0.3] = np.nan
    assessed = (TODAY - rng.integers(0, 500, N_CUSTOMERS)).astype(np.int32)
    assessed[np.isnan(levels)] = MISSING_DAY
    expires = np.where(assessed == MISSING_DAY, MISSING_DAY, assessed + 365).astype(np.int32)
    for path in sorted((folder / "profile").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (folder / "profile").rmdir()
    # as ids sort: companies together, one customer in twenty-five
    kinds = (np.arange(N_CUSTOMERS) < N_CUSTOMERS // 25).astype(np.int32)
    replace(
        profile,
        codes=profile.codes | {"kind": kinds},
        numbers=profile.numbers | {"risk_level": levels},
        days=profile.days | {"risk_assessed_on": assessed, "risk_expires_on": expires},
    ).save(folder / "profile")


def _add_balances(folder: Path, rng: np.random.Generator) -> None:
    """A balance series for every product held, two of inflow and outflow for four customers of five."""
    history = HoldingsHistory.load(folder / "history", N_PRODUCTS, NEWEST)
    held = np.flatnonzero(history.words & np.uint64(1))
    customers = np.repeat(np.arange(N_CUSTOMERS), np.diff(history.indptr))[held]
    level = rng.lognormal(9.5, 1.2, (len(held), 1))
    values = (level * rng.lognormal(0, 0.2, (len(held), N_MONTHS))).astype(np.float32)
    _replace(folder / "balances", Panel((), row_pointers(customers, N_CUSTOMERS), history.products[held], values))
    moving = np.repeat(np.flatnonzero(rng.random(N_CUSTOMERS) < 0.8), 2)
    keys = np.tile(np.array([0, 1], dtype=np.int16), len(moving) // 2)
    flows = rng.lognormal(8.5, 0.6, (len(moving), N_MONTHS)).astype(np.float32)
    _replace(folder / "flows", Panel((), row_pointers(moving, N_CUSTOMERS), keys, flows))


def _add_events(folder: Path, rng: np.random.Generator) -> None:
    def customers(per_head: float) -> np.ndarray:
        return np.sort(rng.integers(0, N_CUSTOMERS, int(per_head * N_CUSTOMERS)))

    def days(n: int, back: int) -> np.ndarray:
        return (TODAY - rng.integers(0, back, n)).astype(np.int32)

    who = customers(4.0)
    happened = days(len(who), 3 * 365)
    order = np.lexsort((happened, who))
    who, happened = who[order], happened[order]
    answered = rng.integers(-1, len(OUTCOMES), len(who)).astype(np.int16)
    contacts = {
        "happened_on": happened,
        "known_on": happened,
        "product": rng.integers(0, N_PRODUCTS, len(who)).astype(np.int16),
        "channel": rng.integers(0, len(CHANNELS), len(who)).astype(np.int16),
        "campaign": np.full(len(who), -1, dtype=np.int32),
        "treated": (rng.random(len(who)) < 0.9).astype(np.int16),
        "propensity_of_arm": np.full(len(who), np.nan, dtype=np.float32),
        "outcome": answered,
        "outcome_known_on": np.where(answered < 0, NEVER, happened + 2).astype(np.int32),
    }
    words = {"channel": CHANNELS, "campaign": (), "outcome": OUTCOMES}
    _replace(folder / "contacts", EventLog(row_pointers(who, N_CUSTOMERS), contacts, words))
    who = customers(2.0)
    changed = days(len(who), 2 * 365)
    consents = {
        "happened_on": changed,
        "known_on": changed,
        "purpose": rng.choice([0, 1], len(who), p=[0.7, 0.3]).astype(np.int16),
        "channel": rng.integers(-1, len(CHANNELS), len(who)).astype(np.int16),
        "granted": (rng.random(len(who)) < 0.85).astype(np.int16),
    }
    words = {"purpose": PURPOSES, "channel": CHANNELS}
    _replace(folder / "consents", EventLog(row_pointers(who, N_CUSTOMERS), consents, words))
    who = customers(0.05)
    opened = days(len(who), 365)
    complaints = {
        "happened_on": opened,
        "known_on": opened,
        "resolved_on": np.where(rng.random(len(who)) < 0.7, opened + 20, NEVER).astype(np.int32),
        "severity": np.full(len(who), -1, dtype=np.int16),
    }
    _replace(folder / "complaints", EventLog(row_pointers(who, N_CUSTOMERS), complaints, {"severity": ()}))
    who = customers(0.4)
    started = days(len(who), 365)
    maturities = {
        "happened_on": started,
        "known_on": started,
        "product": rng.integers(0, N_PRODUCTS, len(who)).astype(np.int16),
        "matures_on": (started + rng.integers(90, 720, len(who))).astype(np.int32),
        "closed_on": np.full(len(who), NEVER, dtype=np.int32),
    }
    _replace(folder / "maturities", EventLog(row_pointers(who, N_CUSTOMERS), maturities, {"product": ()}))


def _replace(folder: Path, kept: Panel | EventLog) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    kept.save(folder)


def forty_rules() -> Policy:
    """Fifteen conditions, eight contact rules, two floors, eight weights, four levers, the matrix of the pack and two
    rules about means: forty rules; all eight triggers beside them."""
    eligibility = [
        {"rule": f"age-{family}", "for": {"family": family}, "min_age": 18 + n, "max_age": 75 - n}
        for n, family in enumerate(FAMILIES)
    ]
    eligibility += [
        {"rule": f"product-{n}", "for": {"product": f"p{n:02d}", "kind": "retail"}, "min_balance": 1000.0 * n}
        for n in (2, 5, 9, 14)
    ]
    eligibility += [
        {"rule": f"holding-{n}", "for": {"product": f"p{n:02d}"}, "requires": ["p00", "p01"], "excludes": ["p02"]}
        for n in (7, 13, 19)
    ]
    eligibility += [
        {"rule": "wealth-tier", "for": {"family": "wealth", "channel": "rm"}, "min_tier": "VIP"},
        {"rule": "young", "for": {"family": "funds", "life_stage": "starting"}, "min_balance": 5000},
    ]
    contact = [
        {"rule": f"quiet-{scope}-{outcome}", "after": {"outcome": outcome, "times": times, "within_days": within},
         "silent_days": silent, "scope": scope}
        for scope, outcome, times, within, silent in (
            ("product", "declined", 1, 1, 90), ("family", "declined", 2, 90, 60), ("all", "declined", 3, 60, 30),
            ("all", "contacted", 3, 30, 30), ("channel", "no_answer", 2, 30, 14), ("product", "contacted", 1, 1, 14),
            ("family", "accepted", 1, 1, 30), ("channel", "contacted", 4, 30, 14),
        )
    ]  # fmt: skip
    weights = [
        {
            "rule": f"weight-{n}",
            "for": {"family": FAMILIES[n % 6], "tier": ("VIP", "wealth")[n % 2]},
            "weight": 1 + n / 8,
        }
        for n in range(8)
    ]
    levers = [
        {
            "rule": f"lever-{n}",
            "for": {"product": f"p{n:02d}"},
            "factor": 1.25,
            "owner": "bench",
            "expires": "2030-01-01",
        }
        for n in (3, 6, 12, 18)
    ]
    matrix = {f"C{level}": [f"R{rating}" for rating in range(1, level + 1)] for level in range(1, 6)}
    return Policy.model_validate(
        {
            "policy": "bench", "version": "1", "owner": "bench", "decision_day": "as_of",
            "tiers": {"ordinary": 0, "VIP": 50_000, "wealth": 600_000},
            "debts": ["loans", "cards"],
            "channels": {"rm": {"cost_per_minute": 3}, "phone": {"cost": 4}, "sms": {"cost": 0.1}, "app": {}},
            "life_stages": {"starting": {"from_age": 18, "to_age": 29}, "settled": {"from_age": 30, "to_age": 59}},
            "eligibility": eligibility,
            "suitability": {
                "pack": {
                    "pack": "bench", "allowed": matrix, "valid_days": 365,
                    "elderly": {"from_age": 65, "from_rating": "R4", "step": "review"},
                    "funds": [{"from_rating": "R4", "min_assets": 20_000},
                              {"from_rating": "R3", "max_debt_to_assets": 3.0}],
                    "client_asked": {"allows": ["RISK_ABOVE_TOLERANCE"], "step": "warning", "barred_levels": ["C1"]},
                },
                "rated_families": ["wealth", "funds"],
            },
            "contact_policy": {"rules": contact},
            "triggers": {
                "maturing": {"family": ["deposits", "wealth"], "raises": {"family": "wealth", "weight": 1.5}},
                "large_inflow": {"raises": {"family": "wealth", "weight": 1.4}},
                "salary_started": {"product": "p06", "raises": {"family": "cards", "weight": 1.5}},
                "salary_stopped": {"product": "p06"},
                "loan_nearly_repaid": {"family": "loans", "raises": {"family": "loans", "weight": 1.5}},
                "balance_falling": {"raises": {"family": "deposits", "weight": 1.3}},
                "next_tier": {"raises": {"family": "wealth", "weight": 1.3}},
                "life_stage_birthday": {"ages": [18, 30, 60], "raises": {"family": "insurance", "weight": 1.3}},
            },
            "service_actions": [
                {"action": "renew", "when": "risk_assessment_expired", "text": "Renew.", "text_zh": "请更新"}
            ],
            "floors": [{"rule": "floor", "floor": 0.0005}, {"rule": "floor-loans", "for": {"family": "loans"},
                        "floor": 0.001}],
            "context": weights,
            "levers": levers,
        }
    )  # fmt: skip
