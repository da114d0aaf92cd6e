"""The demonstration: a synthetic bank from its tables to served suggestions under a policy, in one go."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.panel import Panel
from rich.table import Table

from features import feature_set_of
from features.build import BuildConfig, BuildOutcome, build_states
from features.clock import Clock
from features.contracts import RM_ID
from features.files import write_text
from features.progress import progress_bar, report_console
from features.sources.synthetic import SyntheticBank, generate
from training import EvaluationConfig, TrainingConfig, evaluate, train

from ..access import Role, create_demo_key, issue_demo_token
from ..answering.engine import DecisionEngine
from ..answering.recommendation import Recommendation
from ..config import ServingConfig
from ..config_file import CONFIG_FILE, clock_of, read_section
from ..decisions import FreshEvents
from ..decisions.policy.loading import POLICY_FILE, demonstration_policy_path, policy_path, standard_policy_path
from ..decisions.policy.use import use_policy
from ..decisions.reason_codes import REASONS_OF
from ..deployment import Door
from ..simulation.outcomes import simulated
from ..simulation.scenarios import scenarios_of
from .suggestions_table import suggestions_table

BANK = "bank"
SAMPLES = 5
SUGGESTED = 3


def run_demo(
    workspace: Path,
    *,
    tables: Path | None,
    customers: int,
    config: Path | None,
    tracking_uri: str | None,
    serve: bool,
    port: int | None,
) -> None:
    """Do every job in turn and say what came of it."""
    console = report_console()
    serving = read_section(config, "serving", ServingConfig)
    own_tables = tables is not None
    with progress_bar() as progress:
        if tables is None:
            bank = SyntheticBank(retail=customers, corporate=max(customers // 20, 20))
            generate(bank, workspace / BANK, progress)
            tables = workspace / BANK / "tables"
        outcome = build_states(tables, workspace, read_section(config, "build", BuildConfig), progress=progress)
        trained = train(
            workspace,
            read_section(config, "training", TrainingConfig),
            tracking_uri=tracking_uri,
            progress=progress,
        )
        report = evaluate(
            workspace,
            read_section(config, "evaluation", EvaluationConfig),
            tracking_uri=tracking_uri,
            progress=progress,
        )
    clock = clock_of(config)
    policy_of_its_own = (workspace / POLICY_FILE).is_file()
    if not policy_of_its_own:
        _use_demonstration_policy(workspace, clock, own_tables)
    create_demo_key(workspace)
    lets_one = allow_one_person(workspace)
    console.print(_what_was_built(outcome, tables, workspace, trained.selected, trained.version.number))
    console.print(report.render())
    if own_tables and not policy_of_its_own:
        console.print(
            f"Decisions are made for {outcome.states.manifest.as_of}, the last day of the tables: "
            f"{workspace / POLICY_FILE} is the standard policy with `decision_day: as_of`. A bank that acts on "
            "suggestions writes `today`.",
            markup=False,
        )
    with Door.opened(workspace, config, tracking_uri) as door:
        engine, customer_ids = door.engine, _sample_ids(door.engine)
        fresh = door.happened_to(customer_ids)
        samples = [engine.recommend(customer_id, SUGGESTED, fresh=fresh) for customer_id in customer_ids]
        console.print(_what_is_excluded(engine, door.happened()))
        console.print(suggestions_table(samples))
        console.print(str(door), markup=False, highlight=False)
    settings = serving.model_copy(update={"port": port or serving.port})
    if lets_one:
        said = f"{workspace / CONFIG_FILE} lets one person do what takes two: remove it before a bank uses this."
        console.print(said, soft_wrap=True, markup=False, highlight=False)
        if config is None:  # else the service that is started here keeps to what it was given
            settings = settings.model_copy(update={"access": settings.access.model_copy(update=_ONE_PERSON)})
    console.print(_what_next(workspace, settings, engine, samples, serve))
    console.print("A token for it, an administrator's, for an hour:")
    console.print(issue_demo_token(workspace, Role.ADMINISTRATOR), soft_wrap=True, markup=False, highlight=False)
    if serve:
        from ..api.worker import run_service

        run_service(workspace, settings, clock, tracking_uri)


def _use_demonstration_policy(workspace: Path, clock: Clock, own_tables: bool) -> None:
    """The demonstration bank's own policy; for other tables the standard one, decided for the last day they know."""
    if not own_tables:
        use_policy(demonstration_policy_path(), workspace, clock.today())
        return
    text = standard_policy_path().read_text(encoding="utf-8")
    assert text.count("decision_day: today") == 1  # or it would be said to decide for another day than it does
    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        path = Path(folder) / POLICY_FILE
        path.write_text(text.replace("decision_day: today", "decision_day: as_of"), encoding="utf-8")
        use_policy(path, workspace, clock.today())


def allow_one_person(workspace: Path) -> bool:
    """Have one person do in `workspace` what else takes another's approval, unless it has settings; whether it does."""
    path = workspace / CONFIG_FILE
    if path.exists():
        return False
    (name,) = _ONE_PERSON
    write_text(
        path,
        "# Written by `nextproduct demo`, where nobody is there to approve what somebody else asks for.\n"
        f"[serving.access]\n{name} = true\n",
    )
    return True


_ONE_PERSON = {"single_person": True}


def _what_was_built(outcome: BuildOutcome, tables: Path, workspace: Path, selected: str, version: str) -> Panel:
    manifest = outcome.states.manifest
    return Panel(
        f"Tables     {tables}\n"
        f"States     {manifest.n_customers:,} customers, {manifest.n_accounts:,} accounts, "
        f"{len(outcome.states.catalogue)} products, as of {manifest.as_of}\n"
        f"Features   {len(feature_set_of(outcome.states).names)} ({_command()} features list {workspace})\n"
        f"Champion   {selected}, version {version} in MLflow "
        f"({_command('mlflow')} ui --backend-store-uri sqlite:///{workspace / 'mlflow.db'})",
        title="What was built",
        expand=False,
    )


def _what_is_excluded(engine: DecisionEngine, fresh: FreshEvents) -> Table:
    """What each layer of the policy excludes first, over all customers and products."""
    scenario = scenarios_of(engine, None, fresh)(engine.policy.policy)
    (found,) = simulated([scenario], limit=SUGGESTED)
    pairs = found.customers * len(found.product_ids)
    table = Table(title=f"What the policy {found.policy} does, of {pairs:,} pairs of customer and product")
    table.add_column("layer")
    table.add_column("excluded first", justify="right")
    table.add_column("reasons")
    by_reason = found.reasons.sum(axis=0)
    for layer, reasons in REASONS_OF.items():
        said = ", ".join(f"{reason.name} {by_reason[reason]:,}" for reason in reasons if by_reason[reason])
        table.add_row(layer.value, f"{found.excluded_by_layer[layer]:,}", said)
    table.add_row("offered", f"{found.offers.sum():,}", f"the best {SUGGESTED} of each customer, at most")
    return table


def _what_next(
    workspace: Path, settings: ServingConfig, engine: DecisionEngine, samples: list[Recommendation], serve: bool
) -> Panel:
    customer_id = samples[0].customer_id
    suggested = dict.fromkeys(suggestion.product_id for sample in samples for suggestion in sample.suggestions)
    products = ",".join(list(suggested)[-2:])
    address = f"http://{settings.host}:{settings.port}"
    start = "The service is on. Stop it with Ctrl-C." if serve else f"Start the service: {_command()} serve {workspace}"
    return Panel(
        f"{start}\n"
        f"  open  {address}/docs\n"
        f"  TOKEN=$({_command()} token {workspace} --role administrator)\n"
        f'  curl -H "Authorization: Bearer $TOKEN" \\\n'
        f"    '{address}/v1/customers/{customer_id}/recommendations?limit=3'\n"
        f"An RM's token:  {_command()} token {workspace} --role rm --rm {_some_rm(engine)}\n"
        f"Why not another?  {_command()} why-not {workspace} {customer_id} PRODUCT_ID\n"
        f"The policy in words:  {_command()} policy check {policy_path(workspace)}\n"
        f"A target list:  {_command()} campaign {workspace} --products {products} --size 500 --out list.csv",
        title="What next",
        expand=False,
    )


def _some_rm(engine: DecisionEngine) -> str:
    """An RM of whom there are customers; RM_ID where the bank's tables name none."""
    return next(iter(engine.states.profile.vocabularies[RM_ID]), "RM_ID")


def _sample_ids(engine: DecisionEngine) -> list[str]:
    """Customers spread evenly over the ids, so that retail and corporate ones both show."""
    states = engine.states
    known = states.known_at(states.as_of_period)
    spread = np.unique(np.linspace(0, len(known) - 1, SAMPLES).astype(np.int64))
    return states.ids_of(known[spread])


def _command(name: str = "nextproduct") -> Path:
    """The path of a command of this installation, which need not be on the user's PATH."""
    return Path(sys.argv[0]).with_name(name)
