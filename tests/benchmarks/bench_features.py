"""Features of one date for a million customers, 17 months, 24 products, beside pandas on the same holdings.

Run by ``python -m tests.benchmarks.bench_features``. The last lines are JSON, one figure each.
The states are mapped files; a process of its own streams all customers through in blocks, so its peak memory is that of
this step. Like the Santander panel, the bank has holdings and a profile, no balances and no activity. pandas gets the
monthly panel of a sample in memory and computes the per-product holdings features alone; they must equal ours.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from features import block_of, blocks_of, feature_set_of
from features.calendar import Calendar
from features.catalogue import Catalogue, Product
from features.contracts import KINDS
from features.states import FORMAT, MANIFEST, CustomerStates, Manifest
from features.states.arrays import row_pointers
from features.states.customer_states import EVENT_LOGS, PANELS
from features.states.events import EventLog
from features.states.history import HoldingsHistory
from features.states.occasions import Occasions
from features.states.panels import Panel
from features.states.partners import PartnerHistory
from features.states.profile import ALWAYS, MISSING_DAY, Profile
from features.states.segments import adoption_by_segment

N_CUSTOMERS = 1_000_000
N_MONTHS = 17
N_PRODUCTS = 24
REPEATS = 3
SAMPLE = 50_000
"""Customers that pandas computes on; its time grows in proportion, so it is scaled to all."""

GOAL_SECONDS, GOAL_GIGABYTES = 6.0, 1.0
CALENDAR = Calendar()
AS_OF = date(2016, 5, 31)
NEWEST = CALENDAR.period_of(AS_OF)


def simulated_words(rng: np.random.Generator) -> np.ndarray:
    """Uint64 (N_CUSTOMERS, N_PRODUCTS): 1.4 products held on average, 3% of customer-months add one."""
    words = np.zeros((N_CUSTOMERS, N_PRODUCTS), dtype=np.uint64)
    shares = np.append(0.62, 0.78 * 0.8 ** np.arange(1, N_PRODUCTS) / (0.8 ** np.arange(1, N_PRODUCTS)).sum())
    for product, share in enumerate(shares):
        held = rng.random(N_CUSTOMERS) < share
        # what was held in the first month was so for as long as memory reaches
        word = np.where(held, ~np.uint64(0) << np.uint64(N_MONTHS - 1), np.uint64(0))
        drop = 0.02
        add = drop * share / (1 - share)
        for age in range(N_MONTHS - 2, -1, -1):
            held = rng.random(N_CUSTOMERS) < np.where(held, 1 - drop, add)
            word |= held.astype(np.uint64) << np.uint64(age)
        words[:, product] = word
    return words


def history_of(words: np.ndarray) -> HoldingsHistory:
    """The CSR of what is not empty."""
    customers, products = np.nonzero(words)
    pairs = words[customers, products]
    none = np.zeros(0)
    return HoldingsHistory(
        n_products=N_PRODUCTS,
        as_of_period=NEWEST,
        indptr=row_pointers(customers, N_CUSTOMERS),
        products=products.astype(np.int16),
        words=pairs,
        opens=pairs & ~(pairs >> np.uint64(1)) & ~(np.uint64(1) << np.uint64(63)),
        late_pairs=none.astype(np.int64),
        late_periods=none.astype(np.int32),
        late_words=none.astype(np.uint64),
        began=np.zeros(len(pairs), dtype=np.uint8),
    )


def simulated_profile(rng: np.random.Generator) -> Profile:
    """One version a customer: numbers, texts and dates with gaps."""
    today = CALENDAR.as_of_day(NEWEST)
    vocabularies = {
        "kind": KINDS,
        "tier": ("ordinary", "VIP", "wealth"),
        "gender": ("F", "M"),
        "region": tuple(f"region {number}" for number in range(52)),
        "channel": tuple(f"channel {number}" for number in range(160)),
    }

    def days(share_missing: float) -> np.ndarray:
        found = today - rng.integers(0, 80 * 365, N_CUSTOMERS)
        return np.where(rng.random(N_CUSTOMERS) < share_missing, MISSING_DAY, found).astype(np.int32)

    numbers = {name: rng.lognormal(11, 1, N_CUSTOMERS).astype(np.float32) for name in ("income", "risk_level", "score")}
    numbers["income"][rng.random(N_CUSTOMERS) < 0.2] = np.nan
    return Profile(
        indptr=np.arange(N_CUSTOMERS + 1),
        valid_from=np.full(N_CUSTOMERS, ALWAYS, dtype=np.int32),
        numbers=numbers,
        codes={
            name: rng.integers(-1 if name != "kind" else 0, len(words), N_CUSTOMERS, dtype=np.int32)
            for name, words in vocabularies.items()
        },
        days={"birth_date": days(0.01), "founded_on": days(0.95), "onboarded_on": days(0.02)},
        vocabularies=vocabularies,
    )


def write_states(folder: Path, words: np.ndarray, rng: np.random.Generator) -> None:
    """A build as the packer leaves it, from arrays instead of tables."""
    blank: dict = dict.fromkeys(Product.__dataclass_fields__)
    catalogue = Catalogue(
        tuple(
            Product(**blank | {"product_id": f"p{n:02d}", "name": f"product {n}", "family": f"family {n % 5}"}
                    | {"customer_kind": "both", "requires": (), "excludes": (), "repeatable": False})
            for n in range(N_PRODUCTS)
        )
    )  # fmt: skip
    history, profile = history_of(words), simulated_profile(rng)
    catalogue.save(folder / "catalogue.json")
    np.save(folder / "customer_ids.npy", np.array([f"{n:07d}".encode() for n in range(N_CUSTOMERS)]))
    history.save(folder / "history")
    profile.save(folder / "profile")
    nobody = np.zeros(N_CUSTOMERS + 1, dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    for name in PANELS:
        Panel((), nobody, none.astype(np.int16), np.zeros((0, N_MONTHS), dtype=np.float32)).save(folder / name)
    for name in EVENT_LOGS:
        EventLog(nobody, {}, {}).save(folder / name)
    PartnerHistory(nobody, none, none.astype(np.uint64)).save(folder / "partners")
    flags = np.zeros((0, N_PRODUCTS), dtype=np.bool_)
    Occasions(none, none.astype(np.int32), flags, flags).save(folder / "occasions")
    holding_share, acquisition_rate = adoption_by_segment(profile, history, CALENDAR, N_MONTHS)
    np.save(folder / "holding_share.npy", holding_share)
    np.save(folder / "acquisition_rate.npy", acquisition_rate)
    manifest = Manifest(
        format=FORMAT, build_id="bench", frequency="month", as_of=AS_OF.isoformat(), known_to=AS_OF.isoformat(),
        dated=True, first_period=NEWEST - N_MONTHS + 1, depth=N_MONTHS, n_customers=N_CUSTOMERS,
        n_accounts=len(history.words), tables="", mapping=None, fingerprints={},
    )  # fmt: skip
    content = asdict(manifest) | {"key_names": {name: [] for name in PANELS}}
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")


def measure(folder: Path) -> None:
    """Stream every customer's features at the newest date; print seconds of each time, peak memory and columns."""
    states = CustomerStates.open(folder)
    _ = block_of(states, np.arange(10), NEWEST).features  # compiles, or loads what was compiled
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        rows = sum(block.features.shape[0] for block in blocks_of(states, NEWEST))
        seconds.append(time.perf_counter() - start)
        assert rows == N_CUSTOMERS
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "gigabytes": gigabytes, "columns": len(feature_set_of(states).names)}))


def panel_of(words: np.ndarray) -> pd.DataFrame:
    """The long monthly panel: customer, month, a flag a product."""
    months = np.arange(N_MONTHS)[::-1].astype(np.uint64)  # ages, oldest first
    flags = ((words[:, None, :] >> months[None, :, None]) & np.uint64(1)).astype(np.int8)
    panel = pd.DataFrame(flags.reshape(-1, N_PRODUCTS), columns=[f"p{n:02d}" for n in range(N_PRODUCTS)])
    panel.insert(0, "customer", np.repeat(np.arange(len(words)), N_MONTHS))
    panel.insert(1, "age", np.tile(months.astype(np.int64), len(words)))
    return panel


def pandas_features(panel: pd.DataFrame) -> pd.DataFrame:
    """Flags, lags 1 to 3, ages since add and drop, adds and drops in 12 months, by groupby and shift."""
    products = list(panel.columns[2:])
    grouped = panel.groupby("customer", sort=False)[products]
    newest = (panel["age"] == 0).to_numpy()
    customers, months = panel["customer"], panel["age"].to_numpy(dtype=np.float32)[:, None]
    columns = {f"held:{p}": panel.loc[newest, p].to_numpy() for p in products}
    shifted = {lag: grouped.shift(lag) for lag in (1, 2, 3)}
    for lag, before in shifted.items():
        columns |= {f"held_lag_{lag}:{p}": before.loc[newest, p].to_numpy() for p in products}
    flags, before = panel[products], shifted[1]
    changes = {"add": (flags == 1) & (before == 0), "drop": (flags == 0) & (before == 1)}
    recent = panel["age"] < 12
    for change, happened in changes.items():
        dated = pd.DataFrame(np.where(happened, months, np.float32(np.nan)), columns=products)
        ages = dated.groupby(customers, sort=False).min()
        columns |= {f"age_since_{change}:{p}": ages[p].to_numpy() for p in products}
        counts = happened[recent].astype(np.int8).groupby(customers[recent], sort=False).sum()
        columns |= {f"{change}s:{p}": counts[p].to_numpy() for p in products}
    return pd.DataFrame(columns)


def pandas_seconds(words: np.ndarray, folder: Path) -> np.ndarray:
    """Seconds of each time on the sample, after a look that the values are ours."""
    panel = panel_of(words[:SAMPLE])
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = pandas_features(panel)
        seconds.append(time.perf_counter() - start)
    states = CustomerStates.open(folder)
    names = feature_set_of(states).names
    ours = block_of(states, np.arange(SAMPLE), NEWEST).features[:, [names.index(name) for name in found.columns]]
    np.testing.assert_array_equal(ours, found.to_numpy(dtype=np.float32))
    return np.array(seconds)


def main() -> None:
    """Measure, print, and end with the figures as JSON."""
    rng = np.random.default_rng(0)
    words = simulated_words(rng)
    adds = words & ~(words >> np.uint64(1)) & np.uint64(2 ** (N_MONTHS - 1) - 1)
    print(
        f"{N_CUSTOMERS:,} customers, {N_MONTHS} months, {N_PRODUCTS} products, "
        f"{(words & np.uint64(1)).sum() / N_CUSTOMERS:.2f} held on average, "
        f"{np.bitwise_count(adds).sum() / N_CUSTOMERS / (N_MONTHS - 1):.1%} of a product added a customer and month"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_states(folder, words, rng)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        command = [sys.executable, "-m", "tests.benchmarks.bench_features", str(folder)]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        pandas = pandas_seconds(words, folder)
    seconds, gigabytes = np.array(ours["seconds"]), ours["gigabytes"]
    scale = N_CUSTOMERS / SAMPLE
    value, baseline = float(np.median(seconds)), float(np.median(pandas)) * scale
    print(
        f"{ours['columns']} columns from {size / 1e6:.0f} MB of states: {value:.2f} s, peak {gigabytes:.2f} GB | "
        f"pandas, 8 columns a product on {SAMPLE:,} customers: {np.median(pandas):.2f} s, scaled: {baseline:.0f} s, "
        f"{baseline / value:.0f} times as long | goal {GOAL_SECONDS:.0f} s and {GOAL_GIGABYTES:.0f} GB: "
        f"{'reached' if value < GOAL_SECONDS and gigabytes < GOAL_GIGABYTES else 'MISSED'}"
    )
    figures = [
        {
            "figure": "features at one date, 1 million customers, 24 products, seconds",
            "value": value,
            "low": float(seconds.min()),
            "high": float(seconds.max()),
            "baseline": f"pandas groupby and shift, 8 columns a product, scaled from {SAMPLE:,} customers",
            "baseline_value": baseline,
        },
        {
            "figure": "features at one date, 1 million customers, 24 products, peak gigabytes",
            "value": gigabytes,
            "low": gigabytes,
            "high": gigabytes,
            "baseline": "goal",
            "baseline_value": GOAL_GIGABYTES,
        },
    ]
    for figure in figures:
        print(json.dumps(figure))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        main()
