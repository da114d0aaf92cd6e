"""Makes a synthetic bank: its tables, and its truth apart from them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from ...contracts import PRODUCTS
from ...errors import BadInput
from ...files import AnyPath, put_in_place
from .bank import BURN_IN, BlockPlan, SyntheticBank
from .bookkeeping import BlockRecords
from .catalogue import Product, products_of
from .life import BlockSimulation
from .tables import TableParts, schema_of
from .truth import TruthWriter, write_manifest

TABLES_FOLDER = "tables"
TRUTH_FOLDER = "truth"


def generate(bank: SyntheticBank, folder: AnyPath, progress: Progress | None = None) -> None:
    """Write the tables of `bank` to `folder`/tables and its truth to `folder`/truth.

    Everything is written beside `folder` and moved there when it is complete; an earlier synthetic bank in `folder`
    is replaced only then.

    Raises
    ------
    BadInput : `folder` holds something else
    """
    folder = Path(folder)
    _check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / TABLES_FOLDER).mkdir(parents=True)
    (aside / TRUTH_FOLDER).mkdir()
    _write_products(bank, aside / TABLES_FOLDER)
    write_manifest(aside / TRUTH_FOLDER, bank)
    blocks = bank.blocks
    months = bank.periods + BURN_IN
    task = progress.add_task("Making the synthetic bank", total=len(blocks) * months) if progress else None

    def tick() -> None:
        if progress is not None and task is not None:
            progress.advance(task)

    # sums of one thread come out the same on every machine
    with threadpool_limits(1):
        for plan in blocks:
            _write_block(bank, plan, aside, tick)
    _move_into_place(aside, folder)


def _write_block(bank: SyntheticBank, plan: BlockPlan, folder: Path, tick: Callable[[], None]) -> None:
    simulation = BlockSimulation(bank, plan)
    parts = TableParts(folder / TABLES_FOLDER, plan.part)
    records = BlockRecords(simulation, parts)
    truth = TruthWriter(folder / TRUTH_FOLDER, bank, plan, simulation.population.response)
    simulation.run(
        record=records.add_month,
        publish=lambda period: truth.write(period, simulation.probability, simulation.wear),
        tick=tick,
    )
    records.finish()
    parts.close()
    truth.close()


def _write_products(bank: SyntheticBank, folder: Path) -> None:
    rows = [_row_of(product) for product in products_of(bank)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema_of(PRODUCTS.name)), folder / "products.parquet")


def _row_of(product: Product) -> dict[str, object]:
    row = {name: getattr(product, name) for name in PRODUCTS.column_names}
    row["issuer_risk_rating"] = product.issuer_risk_rating or product.risk_rating
    row["requires"], row["excludes"] = list(product.requires), list(product.excludes)
    return row


def _check_target(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file: name a folder for the synthetic bank")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if {path.name for path in folder.iterdir()} != {TABLES_FOLDER, TRUTH_FOLDER}:
        raise BadInput(f"{folder} is not empty and holds no synthetic bank: name another folder or empty this one")


def _move_into_place(aside: Path, folder: Path) -> None:
    earlier = folder.with_name(f".{folder.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if folder.exists():
        folder.rename(earlier)
    put_in_place(aside, folder)
    shutil.rmtree(earlier, ignore_errors=True)
