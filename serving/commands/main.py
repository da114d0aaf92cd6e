"""The command ``nextproduct``: suggestions, lists, the service, the demonstration, and the other rooms' commands."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.errors import NextProductError

from ..language import Language
from .access import app as access_commands
from .candidates import app as candidate_commands
from .data import ConfigOption, WorkspaceArgument
from .data import app as features_commands
from .models import app as training_commands
from .models import tracking_uri
from .options import AsJson, ByOption, ChannelOption, LimitOption, print_json, say_versions
from .policy import app as policy_commands
from .policy_reports import app as policy_reports
from .records import app as records_commands

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "Next-best-product suggestions for banks.\n\n"
        "From a bank's tables to a served suggestion: [bold]build[/] customer states from tables, [bold]train[/] "
        "models, [bold]evaluate[/] them on what they have not seen, then [bold]recommend[/], [bold]campaign[/] or "
        "[bold]serve[/].\n\n"
        "Try it all on a synthetic bank: [bold]nextproduct demo workspace/demo[/]"
    ),
)
start = typer.Typer()
suggestions = typer.Typer()


Customer = Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="As in the customers table.")]
ClientAsked = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PRODUCT_ID",
        help="The client asked for this product: other suitability rules hold than when we recommend. Repeatable.",
    ),
]


@suggestions.command(rich_help_panel="Suggestions")
def recommend(
    workspace: WorkspaceArgument,
    customer_id: Customer,
    limit: LimitOption = None,
    channel: ChannelOption = None,
    client_asked: ClientAsked = None,
    language: Annotated[Language, typer.Option(help="Of the reasons.")] = Language.EN,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Suggest products for one customer: what the policy allows, best first, each with the reasons to say aloud. Where
    there is nothing, and of products that the client asked for in vain, it says why.

    It decides as the service does, with what is in use and what has happened, and is only a look: nothing goes on
    record. What is shown to a customer is asked of the service.
    """
    from ..recommender import Recommender
    from .suggestions_table import suggestions_table

    with Recommender.open(workspace, config=config, tracking_uri=tracking_uri()) as recommender:
        recommendation = recommender.recommend(customer_id, limit, channel=channel, asked=client_asked or ())
        say_versions(recommender.door, "Only a look: nothing of it is on record.")
    if as_json:
        print_json(recommendation.to_dict(language))
        return
    from features.progress import report_console

    report_console().print(suggestions_table([recommendation], language))


@suggestions.command("why-not", rich_help_panel="Suggestions")
def why_not(
    workspace: WorkspaceArgument,
    customer_id: Customer,
    product_id: Annotated[str, typer.Argument(metavar="PRODUCT_ID", help="As in the products table.")],
    limit: LimitOption = None,
    channel: ChannelOption = None,
    client_asked: ClientAsked = None,
    language: Annotated[Language, typer.Option(help="Of the explanation.")] = Language.EN,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say why a product is not suggested to a customer: the layer, the rule and the figures that exclude it, or how
    far it is behind the last one suggested."""
    from ..recommender import Recommender
    from .suggestions_table import why_not_lines

    with Recommender.open(workspace, config=config, tracking_uri=tracking_uri()) as recommender:
        found = recommender.why_not(customer_id, product_id, limit, channel=channel, asked=client_asked or ())
        versions = recommender.versions.to_dict()
        say_versions(recommender.door, "Only a look: nothing of it is on record.")
    if as_json:
        print_json({**found.to_dict(language), "versions": versions})
    else:
        typer.echo(why_not_lines(product_id, found, language))


@suggestions.command(rich_help_panel="Suggestions")
def campaign(
    workspace: WorkspaceArgument,
    products: Annotated[str, typer.Option(help="Product ids, separated by commas.")],
    size: Annotated[int, typer.Option(help="Customers on the list.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv (opens in Excel, Chinese text included) or .parquet.")],
    channel: ChannelOption = None,
    by: ByOption = None,
    config: ConfigOption = None,
) -> None:
    """Write a campaign target list: of the customers to whom the policy allows an offer of some products, those of
    highest priority, one offer each.

    It is decided with what is in use and what has happened until now, kept in WORKSPACE/lists under the digest of its
    content, and on record: `nextproduct log show WORKSPACE --kind list`.
    """
    from features.progress import console, progress_bar

    from ..campaigns import check_path, keep_list, target_list
    from ..deployment import Door

    check_path(out)
    product_ids = [product.strip() for product in products.split(",") if product.strip()]
    with Door.opened(workspace, config, tracking_uri()) as door, progress_bar() as progress:
        fresh = door.happened()
        frame = target_list(door.engine, product_ids, size, channel=channel, fresh=fresh, progress=progress)
        asked = {"products": product_ids, "size": size, "channel": channel}
        kept = keep_list(door, frame, out, asked, by or getpass.getuser())
        say_versions(door, f"On record as {kept.entry_id}.")
    console.print(f"{len(frame):,} customers in {out}.")
    if len(frame) < size:
        console.print(f"[yellow]Only {len(frame):,} customers may be offered these products.[/]")


@suggestions.command(rich_help_panel="Suggestions")
def serve(
    workspace: WorkspaceArgument,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: from the configuration.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes that answer. Default: from the configuration.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Serve suggestions over HTTP to whoever has a token or a key, and put every decision on record.

    Tokens are those of the bank's identity provider (serving.access.jwks in the configuration); machines have keys, see
    `nextproduct key`. Without either everything but health is refused; the demonstration makes a key of its own, see
    `nextproduct token`.
    """
    from ..api.worker import run_service
    from ..config import ServingConfig
    from ..config_file import clock_of, config_path, read_section

    path = config_path(config, workspace)
    settings = read_section(path, "serving", ServingConfig)
    changes = {"port": port or settings.port, "workers": workers or settings.workers}
    run_service(workspace, settings.model_copy(update=changes), clock_of(path), tracking_uri())


@suggestions.command("compile", rich_help_panel="Suggestions")
def compile_() -> None:
    """Compile all that a service needs, ahead of its start: once after the installation, in an image's build for
    example.

    It takes two or three minutes. What is compiled is kept beside the installed code or, where that can only be read,
    in the user's cache folder; the environment variable NUMBA_CACHE_DIR names another. It is for the kind of processor
    it is run on.
    """
    from features.progress import console, progress_bar

    from ..deployment.compilation import compile_ahead

    with progress_bar() as progress:
        task = progress.add_task("Compiling", total=None)
        done = compile_ahead(lambda name: progress.update(task, advance=1, description=name.rpartition(".")[2]))
    console.print(
        f"{len(done.compiled)} functions compiled in {done.seconds:.0f} s: a service compiles nothing at its start."
        if done.compiled
        else f"All was compiled already, which took {done.seconds:.0f} s to find out."
    )


@suggestions.command(rich_help_panel="Records")
def replay(
    workspace: WorkspaceArgument,
    decision_id: Annotated[str, typer.Argument(metavar="DECISION_ID", help="As recommendations give it.")],
    config: ConfigOption = None,
) -> None:
    """Decide again what is on record, from the versions and events it was decided from, and print the same bytes.

    On standard error it names the version of nextproduct that decided then, and the one that this is. Ends with exit
    code 1 when an input is gone, naming it, or when the answer differs, saying where.
    """
    import asyncio

    from features.errors import NotFound

    from ..config import ServingConfig
    from ..config_file import clock_of, config_path, read_section
    from ..desk.replay import replay_by_id
    from ..records import Records
    from ..software import decided_by

    path = config_path(config, workspace)
    settings = read_section(path, "serving", ServingConfig)
    records = Records.open(workspace, settings.records, writable=False)
    try:
        found = asyncio.run(replay_by_id(records, workspace, tracking_uri(), clock_of(path), decision_id))
    finally:
        records.close()
    if found.gone:
        raise NotFound(f"decision {decision_id} cannot be replayed: {'; '.join(found.gone)}")
    sys.stdout.buffer.write(found.body or b"")
    sys.stdout.buffer.flush()
    if sys.stdout.isatty():
        typer.echo()
    if found.difference:
        _fail(f"decision {decision_id} gives another answer now: {found.difference}")
    typer.secho(f"Decision {decision_id}: {decided_by(found.software)}.", dim=True, err=True)


@start.command(rich_help_panel="Start here")
def demo(
    workspace: Annotated[Path, typer.Argument(help="Folder for the demonstration.")] = Path("workspace/demo"),
    serve: Annotated[bool, typer.Option(help="Start the service at the end.")] = True,
    customers: Annotated[
        int, typer.Option(min=200, help="Retail customers of the synthetic bank; a twentieth as many corporate ones.")
    ] = 20_000,
    data: Annotated[Path | None, typer.Option(help="Use these tables instead of a synthetic bank.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the service.")] = None,
    config: ConfigOption = None,
) -> None:
    """Make a synthetic bank (or take your tables), build, train, evaluate, show suggestions, serve."""
    from ..config_file import config_path
    from .demonstration import run_demo

    run_demo(
        workspace,
        tables=data,
        customers=customers,
        config=config_path(config, workspace),
        tracking_uri=tracking_uri(),
        serve=serve,
        port=port,
    )


for commands in (start, features_commands, candidate_commands, training_commands, suggestions):
    app.add_typer(commands)
policy_commands.add_typer(policy_reports)
app.add_typer(policy_commands, rich_help_panel="Suggestions")
app.add_typer(records_commands, rich_help_panel="Records")
app.add_typer(access_commands)


def main() -> None:
    """Run the command; what went wrong is one sentence, not a traceback."""
    try:
        app()
    except NextProductError as error:
        _fail(str(error))
    except OSError as error:  # a full disk, a folder without permission
        _fail(f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error))


def _fail(message: str) -> None:
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    sys.exit(1)
