"""The workspace that the service is measured on: a million customers, forty rules, a champion; and one of ten million.

Run by ``python -m tests.benchmarks.service_bank FOLDER [TENFOLD_FOLDER]``. To the bank of `decision_bank` come RMs and
branches, Chinese names, and reasons to buy: of what is drawn without any, models would learn nothing and the service
would have nothing to explain.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.lib.format import open_memmap

from features.catalogue import Catalogue
from features.contracts import BIRTH_DATE, BRANCH_ID, RM_ID, TIER
from features.states import MANIFEST, STATES_FOLDER, CustomerStates, switch_to
from features.states.arrays import mapped, row_pointers
from features.states.history import HoldingsHistory
from features.states.panels import Panel
from features.states.profile import Profile
from features.states.segments import adoption_by_segment, ages_in_years
from serving.decisions.policy.check import check_policy
from serving.decisions.policy.loading import POLICY_FILE, load_policy
from serving.deployment import open_in_use
from tests.benchmarks import decision_bank
from tests.benchmarks.bench_features import CALENDAR, N_CUSTOMERS, N_MONTHS, N_PRODUCTS, NEWEST, history_of
from tests.serving.later import CLOCK
from training import TrainingConfig, train
from training.models.propensity import PropensityConfig

BUILD = "bench"
CUSTOMERS = "customers.txt"
"""In the workspace: ids, one a line, of everybody to whom something may be offered. Others need no reasons."""

REGISTRY, ARTEFACTS = "mlflow.db", "mlartifacts"
RMS, BRANCHES = 2_500, 100
NAMES = {
    "deposits": ("Deposit", "定期存款"),
    "cards": ("Card", "信用卡"),
    "loans": ("Loan", "贷款"),
    "wealth": ("Wealth product", "理财产品"),
    "funds": ("Fund", "基金"),
    "insurance": ("Insurance", "保险"),
}
TRAINING = TrainingConfig(
    train_periods=1,
    validation_periods=1,
    test_periods=1,
    models=("popularity", "ease", "association_rules", "transition", "propensity"),
    propensity=PropensityConfig(max_rows=40_000, max_choices=40_000, threads=2),
)
"""Few rows of few dates, since how much was learned from costs the service nothing; as many trees as by default."""

REASONED_MONTHS = 6
MONTHLY_RATE = 0.002
"""Of acquiring a product, of customers with no particular reason."""


def write_workspace(folder: Path) -> None:
    """Write states of a million customers, the policy, and a champion trained on them, into `folder`, made for it."""
    states = folder / STATES_FOLDER / BUILD
    states.mkdir(parents=True)
    decision_bank.write_bank(states)
    rng = np.random.default_rng(1)
    _name_products(states)
    _assign(states, rng)
    _give_reasons(states, rng)
    switch_to(folder, BUILD)
    train(folder, TRAINING)
    write_policy(folder)
    _note_customers(folder)


def write_policy(folder: Path) -> None:
    """The forty rules as the file that a bank would write.

    Raises
    ------
    BadPolicy : when that would not be a policy for the workspace's states
    """
    rules = decision_bank.forty_rules().model_dump(mode="json", by_alias=True, exclude_unset=True)
    text = yaml.safe_dump(rules, allow_unicode=True, sort_keys=False)
    (folder / POLICY_FILE).write_text(text, encoding="utf-8")
    check_policy(load_policy(folder / POLICY_FILE), CustomerStates.open(folder / STATES_FOLDER / BUILD), CLOCK.today())


def write_tenfold(workspace: Path, folder: Path, times: int = 10) -> None:
    """A workspace whose bank is that of `workspace` so many times over, with its policy and champion."""
    source, target = workspace / STATES_FOLDER / BUILD, folder / STATES_FOLDER / BUILD
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.npy"))
    shutil.copytree(workspace / ARTEFACTS, folder / ARTEFACTS)
    for name in (REGISTRY, POLICY_FILE):  # not what the service has put on record
        shutil.copy(workspace / name, folder / name)
    for path in source.rglob("*.npy"):
        _repeat(mapped(path), path.name, target / path.relative_to(source), times)
    manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    manifest |= {name: times * manifest[name] for name in ("n_customers", "n_accounts")}
    (target / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    switch_to(folder, BUILD)
    numbers = np.array((workspace / CUSTOMERS).read_text(encoding="utf-8").split(), dtype=np.int64)
    numbers += np.arange(len(numbers)) % times * manifest["n_customers"] // times  # one of the copies of each
    (folder / CUSTOMERS).write_bytes(b"\n".join(_ids(numbers).tolist()))


def _ids(numbers: np.ndarray) -> np.ndarray:
    return np.char.zfill(numbers.astype(np.bytes_), 8)


def _repeat(array: np.ndarray, name: str, path: Path, times: int) -> None:
    """Write an array of the states for that many times the customers, in the order of the customers."""
    n = len(array)
    if name in ("holding_share.npy", "acquisition_rate.npy"):  # by segment, not by customer
        np.save(path, array)
    elif name == "customer_ids.npy":
        np.save(path, _ids(np.arange(times * n)))
    elif name == "indptr.npy":
        grown = open_memmap(path, "w+", array.dtype, (times * (n - 1) + 1,))
        for time_, entries in enumerate(np.arange(times) * array[-1]):
            grown[time_ * (n - 1) : (time_ + 1) * (n - 1)] = array[:-1] + entries
        grown[-1] = times * array[-1]
    elif n:
        # positions of other rows would have to move with them
        assert name not in ("late_pairs.npy", "partners.npy")
        grown = open_memmap(path, "w+", array.dtype, (times * n, *array.shape[1:]))
        for time_ in range(times):
            grown[time_ * n : (time_ + 1) * n] = array
    else:
        np.save(path, array)


def _note_customers(folder: Path) -> None:
    engine = open_in_use(folder, None, CLOCK).engine
    states = engine.states
    offered = [decisions.products[:, 0] >= 0 for decisions in engine.stream(limit=1)]
    known = states.known_at(states.as_of_period)[np.concatenate(offered)]
    (folder / CUSTOMERS).write_bytes(b"\n".join(states.customer_ids[known].tolist()))


def _name_products(states: Path) -> None:
    catalogue = Catalogue.load(states / "catalogue.json")
    named = []
    for number, product in enumerate(catalogue.products):
        english, chinese = NAMES[product.family]
        series = number // len(NAMES) + 1
        named.append(replace(product, name=f"{english} {series}", name_zh=f"{chinese}{series}号"))
    Catalogue(tuple(named)).save(states / "catalogue.json")


def _assign(states: Path, rng: np.random.Generator) -> None:
    """Give every customer an RM, and with the RM a branch."""
    profile = Profile.load(states / "profile")
    rms = rng.integers(0, RMS, N_CUSTOMERS, dtype=np.int32)
    ids = {
        RM_ID: tuple(f"RM{number:04d}" for number in range(RMS)),
        BRANCH_ID: tuple(f"B{number:03d}" for number in range(BRANCHES)),
    }
    assigned = replace(
        profile,
        codes=profile.codes | {RM_ID: rms, BRANCH_ID: rms % BRANCHES},
        vocabularies=profile.vocabularies | ids,
    )
    _rewrite(states / "profile", assigned.save)


def _give_reasons(states: Path, rng: np.random.Generator) -> None:
    """Acquisitions of the last months by who holds another product, is of a tier or an age; and balances of what is
    held while it is."""
    profile = Profile.load(states / "profile")
    history = history_of(_with_acquisitions(states, profile, rng))
    _rewrite(states / "history", history.save)
    holding_share, acquisition_rate = adoption_by_segment(profile, history, CALENDAR, N_MONTHS)
    np.save(states / "holding_share.npy", holding_share)
    np.save(states / "acquisition_rate.npy", acquisition_rate)
    held = np.flatnonzero(history.words & np.uint64(1))
    customers = np.repeat(np.arange(N_CUSTOMERS), np.diff(history.indptr))[held]
    level = rng.lognormal(9.5, 1.2, (len(held), 1))
    values = (level * rng.lognormal(0, 0.2, (len(held), N_MONTHS))).astype(np.float32)
    values[~_held(history.words[held, None], np.arange(N_MONTHS))] = np.nan
    balances = Panel((), row_pointers(customers, N_CUSTOMERS), history.products[held], values)
    _rewrite(states / "balances", balances.save)


def _with_acquisitions(states: Path, profile: Profile, rng: np.random.Generator) -> np.ndarray:
    """Uint64 (N_CUSTOMERS, N_PRODUCTS): the words of the bank, and in them what was acquired and kept for a reason."""
    everyone = np.arange(N_CUSTOMERS)
    words = HoldingsHistory.load(states / "history", N_PRODUCTS, NEWEST).words_at(everyone, NEWEST)
    rates = _monthly_rates(Catalogue.load(states / "catalogue.json"), profile)
    for age in range(REASONED_MONTHS - 1, -1, -1):
        before = _held(words, age + 1)
        for product in range(N_PRODUCTS):
            strong, weak = ((5 * product + step) % N_PRODUCTS for step in (7, 11))  # products that lead to it
            rate = rates[:, product] * np.where(before[:, strong], 5, 1) * np.where(before[:, weak], 3, 1)
            acquires = ~_held(words[:, product], age) & (rng.random(N_CUSTOMERS) < rate)
            words[acquires, product] |= (np.uint64(2) << np.uint64(age)) - np.uint64(1)
    return words


def _monthly_rates(catalogue: Catalogue, profile: Profile) -> np.ndarray:
    """Float32 (N_CUSTOMERS, N_PRODUCTS): of acquiring each product, whatever else is held."""
    years = ages_in_years(profile.days[BIRTH_DATE], CALENDAR.as_of_day(NEWEST))
    tiers = profile.codes[TIER]  # -1: none, then as they rise
    lending = np.where((years >= 28) & (years < 50), 3.0, 0.7)
    by_family = {
        "deposits": np.ones(N_CUSTOMERS),
        "cards": np.where(years < 35, 2.5, 0.8),
        "loans": lending,
        "wealth": np.array([0.5, 1.0, 2.0, 4.0])[tiers + 1],
        "funds": np.array([0.7, 1.0, 2.0, 3.0])[tiers + 1],
        "insurance": lending,
    }
    rates = [MONTHLY_RATE * by_family[product.family] for product in catalogue.products]
    return np.stack(rates, axis=1).astype(np.float32)


def _held(words: np.ndarray, ages: int | np.ndarray) -> np.ndarray:
    return (words >> np.asarray(ages, dtype=np.uint64) & np.uint64(1)).astype(np.bool_)


def _rewrite(folder: Path, save: Callable[[Path], None]) -> None:
    """Write a part of the states anew; what is mapped of the old one stays readable."""
    shutil.rmtree(folder)
    save(folder)


def main() -> None:
    """Write the workspaces and say how long it takes."""
    folders = [Path(argument) for argument in sys.argv[1:]]
    start = time.perf_counter()
    write_workspace(folders[0])
    print(f"{folders[0]}: {N_CUSTOMERS:,} customers in {time.perf_counter() - start:.0f} s")
    if len(folders) > 1:
        start = time.perf_counter()
        write_tenfold(folders[0], folders[1])
        print(f"{folders[1]}: ten times as many in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
