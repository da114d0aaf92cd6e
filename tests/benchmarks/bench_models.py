"""How good the selected model is: on the insurer's real purchases, and against the truth of the synthetic bank."""

from __future__ import annotations

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates, build_states, current_states
from features.sources.importers import import_bruun
from features.sources.synthetic import SyntheticBank, Truth, generate
from training import CHAMPION, Bundle, Tracking, evaluate_champion, train
from training.evaluation import BootstrapInterval, evaluate
from training.evaluation.intervals import BootstrapEstimate
from training.unseen import unseen_batches

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"
TRUTH = "truth"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        measure_synthetic(Path(scratch))
        if (REAL_DATA / "bruun_insurance").is_dir():
            measure_bruun(Path(scratch))
        else:
            print(f"skipped the insurer's purchases: {REAL_DATA / 'bruun_insurance'} is not there")


def measure_synthetic(scratch: Path) -> None:
    """MAP@7 of the selected model, as a share of what ranking by the true probabilities reaches."""
    started = time.perf_counter()
    generate(SyntheticBank(), scratch / "bank")
    generated = time.perf_counter()
    workspace = scratch / "synthetic"
    build_states(scratch / "bank" / "tables", workspace)
    built = time.perf_counter()
    train(workspace)
    trained = time.perf_counter()
    print(
        f"synthetic bank of 21,000 customers, 36 months: generated in {generated - started:.1f} s, "
        f"built in {built - generated:.1f} s, trained in {trained - built:.1f} s"
    )
    states = current_states(workspace)
    bundle = Bundle.open(Tracking(workspace).version(CHAMPION).folder)
    scorers = {name: partial(bundle.propensities, model=name) for name in bundle.models}
    scorers[TRUTH] = partial(
        _true_probabilities, Truth.open(scratch / "bank" / "truth"), _rows_of_truth(scratch, states)
    )
    evaluation = evaluate(
        unseen_batches(states, bundle.manifest), scorers, ks=(3, 7), seed=1, resamples=500, probabilistic=frozenset()
    )
    reached = {name: estimates["map@7"] for name, estimates in evaluation.estimates.items()}
    shares = {}
    for name, estimate in sorted(reached.items(), key=lambda item: -item[1].value):
        assert isinstance(estimate, BootstrapEstimate)
        truth = reached[TRUTH]
        # on the same customers in every resample: what both find hard does not widen the interval
        paired = BootstrapEstimate(estimate.value / truth.value, estimate.replicates / truth.replicates)
        share = shares[name] = paired.interval()
        interval = f"[{share.low:.3f}, {share.high:.3f}]"
        print(f"  {name:12} MAP@7 {estimate.value:.4f}, {share.value:.3f} {interval} of the truth's")
    baseline = shares["popularity"].value
    _report("share of the truth's MAP@7, selected model", shares[bundle.manifest.selected], "popularity", baseline)


def measure_bruun(scratch: Path) -> None:
    """Hit rate among the first three of what was buyable, at the insurer's test events."""
    import_bruun(REAL_DATA / "bruun_insurance", scratch / "bruun")
    workspace = scratch / "insurer"
    build_states(scratch / "bruun", workspace)
    train(workspace)
    report = evaluate_champion(workspace)
    print("insurer's test events, filter applied")
    for name, figures in sorted(report.models.items(), key=lambda item: -item[1]["hit_rate@3"].value):
        cells = "  ".join(
            f"{metric} {figures[metric].value:.4f} [{figures[metric].low:.4f}, {figures[metric].high:.4f}]"
            for metric in ("hit_rate@3", "mrr@3", "map@3")
        )
        print(f"  {name:12} {cells}{'  selected' if name == report.selected else ''}")
    # Bruun, Maistro, Lioma 2022 publish no filtered popularity; recomputed on the same events it is .6793
    _report(
        "hit rate at 3, insurer's test events, selected model",
        report.models[report.selected]["hit_rate@3"],
        "popularity with filter",
        0.6793,
    )


def _rows_of_truth(scratch: Path, states: CustomerStates) -> NDArray[np.int64]:
    """Shape (states.n_customers,): each customer's row of the truth, whose ids ascend as well."""
    ids = np.asarray(Truth.open(scratch / "bank" / "truth").customer_ids)
    return np.searchsorted(ids, np.array([states.customer_id(position) for position in range(states.n_customers)]))


def _true_probabilities(truth: Truth, rows: NDArray[np.int64], block: CustomerBlock) -> NDArray[np.float32]:
    return np.asarray(truth.probability(block.period))[rows[block.positions]]


def _report(figure: str, value: BootstrapInterval, baseline: str, baseline_value: float) -> None:
    line = {
        "figure": figure,
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "baseline": baseline,
        "baseline_value": baseline_value,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
