"""Commands that say what a policy does to everybody: what a change would do, what levers cost, who is offered what."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .data import ConfigOption, WorkspaceArgument
from .options import AsJson, ChannelOption, LimitOption, print_json, say_versions

if TYPE_CHECKING:
    from rich.table import Table

    from ..deployment import Door
    from ..simulation.fairness import FairnessReport, Finding
    from ..simulation.lever_costs import LeverCosts
    from ..simulation.outcomes import Difference
    from ..simulation.policy_diff import Change, ChangeEffect, PolicyDiff

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer()


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="A", help="A policy, such as the one in use.")],
    new: Annotated[Path, typer.Argument(metavar="B", help="The policy that may take its place.")],
    on: Annotated[Path, typer.Option(help="Workspace whose customers are decided on.")],
    channel: ChannelOption = None,
    limit: LimitOption = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say what policy B would do instead of A, before it goes live: on every customer, not on a sample.

    Each rule or setting that differs is tried alone as well (A with nothing else changed), so that what a change does
    is not lost among the others. A customer is touched when something else is shown, or the same in another order.
    Expected value is the sum of propensity x value of what is shown, measured for both as A measures value.

    Model and states are those in use, and what has happened since counts. Neither policy has to be in use:
    `nextproduct policy use B WORKSPACE` names B as the next one.
    """
    from features.progress import progress_bar, report_console

    from ..decisions.policy.check import check_policy
    from ..decisions.policy.loading import load_policy
    from ..simulation.policy_diff import diff_on
    from ..simulation.scenarios import scenarios_of

    loaded = [load_policy(path) for path in (old, new)]
    with _door(on, config) as door, progress_bar() as progress:
        for policy in loaded:
            check_policy(policy, door.engine.states, door.engine.clock.today())
        found = diff_on(
            loaded[0].policy,
            loaded[1].policy,
            scenarios_of(door.engine, channel, door.happened()),
            limit=limit or door.config.default_limit,
            progress=progress,
        )
        say_versions(door)
    if as_json:
        versions = door.engine.versions.to_dict() | {"policy": [policy.name for policy in loaded]}
        print_json({**found.to_dict(), "versions": versions})
        return
    for table in diff_tables(found):
        report_console().print(table)


@app.command()
def levers(
    workspace: WorkspaceArgument,
    channel: ChannelOption = None,
    limit: LimitOption = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say what each lever of the policy in use costs: expected value of what is shown without it, minus with it.

    Everybody is decided on without each lever, all others in place. A lever moves offers from what customers would
    rather have to what the business wants sold: its owner should know the price.
    """
    from features.progress import progress_bar, report_console

    from ..simulation.lever_costs import lever_costs
    from ..simulation.scenarios import scenarios_of

    with _door(workspace, config) as door, progress_bar() as progress:
        found = lever_costs(
            door.engine.policy.policy,
            scenarios_of(door.engine, channel, door.happened()),
            limit=limit or door.config.default_limit,
            progress=progress,
        )
        say_versions(door)
    if as_json:
        print_json({**found.to_dict(), "versions": door.engine.versions.to_dict()})
    else:
        report_console().print(levers_table(found))


@app.command()
def fairness(
    workspace: WorkspaceArgument,
    channel: ChannelOption = None,
    limit: LimitOption = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also what passes.")] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say who is offered what, by the attributes that the policy in use watches, and whether that is within its limits.

    Only customers whom no rule keeps from a product count. Of groups: the lowest rate of being offered it over the
    highest. Of numbers, age among them: the Gini coefficient of offers over the customers in that order, 0 when all
    are alike, above 0 when offers go to those of high values. WARN: beyond the limit. FAIL: the whole 95% interval is.
    """
    from features.progress import progress_bar, report_console

    from ..simulation.fairness import judge_fairness
    from ..simulation.scenarios import scenarios_of

    with _door(workspace, config) as door, progress_bar() as progress:
        scenario_of = scenarios_of(door.engine, channel, door.happened())
        report = judge_fairness(
            scenario_of(door.engine.policy.policy), limit=limit or door.config.default_limit, progress=progress
        )
        say_versions(door)
    if as_json:
        print_json({**report.to_dict(), "versions": door.engine.versions.to_dict()})
    else:
        report_console().print(fairness_table(report, show_all=show_all))


def diff_tables(found: PolicyDiff) -> list[Table]:
    """What each change does and all of them do; then by product."""
    channels = (
        found.old_channel if found.old_channel == found.new_channel else f"{found.old_channel}, {found.new_channel}"
    )
    days = str(found.old_day) if found.old_day == found.new_day else f"{found.old_day}, {found.new_day}"
    changes = _table(
        f"{found.old} -> {found.new}",
        f"{found.customers:,} customers, offers through {channels} on {days}; expected value so far "
        f"{found.expected_value:,.0f}. Changes are tried alone, so they do not add up to the whole.",
        ("change",),
        ("customers", "gained", "lost", "expected value"),
    )
    for effect in found.changes:
        changes.add_row(*_effect_cells(effect))
    changes.add_section()
    changes.add_row("all together" if found.changes else "nothing differs", *_cells(found.whole), style="bold")
    products = _table("Offers by product", None, ("product",), ("gained", "lost", "change"))
    moved = found.whole.gained + found.whole.lost
    for product in sorted(moved.nonzero()[0], key=lambda product: (-moved[product], product)):
        gained, lost = int(found.whole.gained[product]), int(found.whole.lost[product])
        products.add_row(found.product_ids[product], f"{gained:,}", f"{lost:,}", f"{gained - lost:+,}")
    return [changes, products] if products.row_count else [changes]


def levers_table(found: LeverCosts) -> Table:
    """One row a lever, the dearest first."""
    from rich.markup import escape

    table = _table(
        f"What the levers of {found.policy} cost",
        f"{found.customers:,} customers, offers through {found.channel} on {found.day}; expected value of what is "
        f"shown {found.expected_value:,.0f}. Each lever is taken out alone: costs do not add up.",
        ("lever", "owner", "until"),
        ("factor", "cost", "offers moved", "customers"),
    )
    for one in sorted(found.levers, key=lambda one: -one.cost):
        lever = one.lever
        table.add_row(
            lever.rule, escape(lever.owner), str(lever.expires), f"{lever.factor:g}", f"{one.cost:,.0f}",
            f"{one.offers_moved:,}", f"{one.customers:,}",
        )  # fmt: skip
    for lever in found.idle:
        note = "ended" if lever.expires < found.day else "other channels"
        table.add_row(
            lever.rule, escape(lever.owner), str(lever.expires), f"{lever.factor:g}", note, "", "", style="dim"
        )
    if len(found.levers) != 1:
        table.add_section()
        gained, lost = found.together.expected_value, int(found.together.lost.sum())
        label = "all together" if found.levers else "no lever works"
        table.add_row(label, "", "", "", f"{gained:,.0f}", f"{lost:,}", f"{found.together.customers:,}", style="bold")
    return table


def fairness_table(report: FairnessReport, *, show_all: bool = False) -> Table:
    """One row for each attribute and product that does not pass, or for all; the worst first."""
    order = ["FAIL", "WARN", "PASS"]
    counts = {name: sum(finding.verdict == name for finding in report.findings) for name in order}
    said = f"{report.customers:,} customers; {counts['FAIL']} fail, {counts['WARN']} warn, {counts['PASS']} pass."
    if report.not_judged:
        said += f" The bank knows nothing of: {', '.join(report.not_judged)}."
    if not report.findings and not report.not_judged:
        said += " Name attributes under `fairness` in the policy to have them watched."
    table = _table(
        f"Who is offered what under {report.policy}: {report.verdict.value}",
        said,
        ("", "attribute", "product", "lowest rate", "highest rate"),
        ("customers", "ratio or Gini", "95% interval", "limit"),
    )
    for finding in sorted(report.findings, key=lambda finding: order.index(finding.verdict)):
        if show_all or finding.verdict != "PASS":
            table.add_row(*_finding_cells(finding))
    return table


def change_in_words(change: Change) -> str:
    """``changed levers.spring-push: factor 1.5 -> 1.3``."""
    keys = []
    for one in change.keys:
        if change.kind == "added":
            value = _said(one.new)
        elif change.kind == "removed":
            value = _said(one.old)
        else:
            value = f"{_said(one.old)} -> {_said(one.new)}"
        keys.append(f"{one.key} {value}".strip())
    return f"{change.kind} {change.name}" + (f": {'; '.join(keys)}" if keys else "")


def _said(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(name if each is None else f"{name} {_said(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value))
    if isinstance(value, float):
        return f"{value:,g}" if abs(value) < 1 else f"{value:,.10g}"
    return str(value)


def _effect_cells(effect: ChangeEffect) -> list[str]:
    from rich.markup import escape

    words = change_in_words(effect.change)
    if effect.alone is None:
        return [escape(f"{words} (only together with the others: {effect.because})"), "", "", ""]
    return [escape(words), *_cells(effect.alone)]


def _cells(difference: Difference) -> list[str]:
    counts = (difference.customers, int(difference.gained.sum()), int(difference.lost.sum()))
    return [*(f"{count:,}" for count in counts), f"{difference.expected_value:+,.0f}"]


def _finding_cells(finding: Finding) -> list[str]:
    from rich.markup import escape

    colour = {"FAIL": "red", "WARN": "yellow", "PASS": "green"}[finding.verdict]
    ends = finding.interval
    groups = [escape(f"{one.group} {one.rate:.1%}") if one else "" for one in (finding.lowest, finding.highest)]
    return [
        f"[{colour}]{finding.verdict.value}[/]", finding.attribute, finding.product_id, *groups,
        f"{finding.customers:,}", f"{ends.value:.3f}", escape(f"[{ends.low:.3f}, {ends.high:.3f}]"),
        f"{finding.limit:g}",
    ]  # fmt: skip


def _table(title: str, caption: str | None, texts: Sequence[str], figures: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _door(workspace: Path, config: Path | None) -> AbstractContextManager[Door]:
    from ..deployment import Door
    from .models import tracking_uri

    return Door.opened(workspace, config, tracking_uri())
