"""What changes between two policies, rule by rule, and what each change would do to what customers are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from pydantic import ValidationError
from rich.progress import Progress

from ..decisions import Policy, Score
from ..decisions.policy.schema import SCOPED_SECTIONS
from .outcomes import Difference, compare
from .scenarios import Scenario, ScenarioOf

Kind = Literal["added", "removed", "changed", "reordered"]
Path = tuple[str, ...]

_NAMES: dict[Path, str] = {
    **{(section,): "rule" for section in SCOPED_SECTIONS},
    ("contact_policy", "rules"): "rule",
    ("service_actions",): "action",
}
"""The lists of named rules, and the key of the name. Their order means nothing."""

_ORDERED: Path = ("tiers",)
"""Names whose order carries the meaning: changed as a whole."""

_CHANNELS: Path = ("channels",)
"""Names of which the first means more than the others."""

_SILENT: tuple[Path, ...] = (
    ("policy",), ("version",), ("owner",), ("fairness",), ("service_actions",), ("attributes", "not_spoken"),
    ("suitability", "pack", "pack"), ("suitability", "pack", "sources"),
)  # fmt: skip
"""What no offer depends on."""

_SILENT_IN_RULES = frozenset({"note", "owner"})


@dataclass(frozen=True)
class KeyChange:
    """One key and what it was and is; None where it was or is not set."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Change:
    """One rule or setting that was added, removed or changed.

    Attributes
    ----------
    path : the keys that lead to the setting, or to the list that the rule stands in
    rule : its name; None for a setting
    keys : what of it, dotted from the rule or setting on
    """

    kind: Kind
    path: Path
    rule: str | None
    keys: tuple[KeyChange, ...]

    @property
    def name(self) -> str:
        """``levers.spring-push``, ``channels.rm.cost``."""
        return ".".join(self.path if self.rule is None else (*self.path, self.rule))

    @property
    def decides(self) -> bool:
        """Whether an offer could depend on it at all."""
        if any(self.path[: len(silent)] == silent for silent in _SILENT):
            return False
        return self.rule is None or any(one.key not in _SILENT_IN_RULES for one in self.keys)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "change": self.kind,
            "name": self.name,
            "keys": [{"key": one.key, "old": _plain(one.old), "new": _plain(one.new)} for one in self.keys],
        }


@dataclass(frozen=True)
class ChangeEffect:
    """What one change alone would do: the old policy with nothing else changed.

    Attributes
    ----------
    alone : None where the old policy with it alone is none: it goes only together with the others
    because : then what would be wrong
    """

    change: Change
    alone: Difference | None
    because: str | None = None


@dataclass(frozen=True)
class PolicyDiff:
    """What a new policy would do instead of an old one, to everybody.

    Attributes
    ----------
    old, new : name and version
    old_channel, new_channel, old_day, new_day : of the decisions by each
    customers : known to the bank
    expected_value : sum of propensity x value of what the old policy shows
    whole : of all changes together
    changes : in the order of a policy's sections
    """

    old: str
    new: str
    old_channel: str
    new_channel: str
    old_day: date
    new_day: date
    product_ids: tuple[str, ...]
    customers: int
    expected_value: float
    whole: Difference
    changes: tuple[ChangeEffect, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "old": {"policy": self.old, "channel": self.old_channel, "day": self.old_day.isoformat()},
            "new": {"policy": self.new, "channel": self.new_channel, "day": self.new_day.isoformat()},
            "customers": self.customers,
            "expected_value": self.expected_value,
            "whole": self.whole.to_dict(self.product_ids),
            "changes": [
                {
                    **effect.change.to_dict(),
                    "alone": None if effect.alone is None else effect.alone.to_dict(self.product_ids),
                    "only_together_because": effect.because,
                }
                for effect in self.changes
            ],
        }


def changes_between(old: Policy, new: Policy) -> list[Change]:
    """Every rule and setting that differs, in the order of a policy's sections.

    A named rule is one change whatever of it changed; renamed, it is one removed and one added.
    """
    return list(_changes((), _dump(old), _dump(new)))


def with_change(old: Policy, new: Policy, change: Change) -> Policy:
    """`old` with one of the changes between it and `new`.

    Raises
    ------
    ValidationError : when that is no policy
    """
    return _validated(_applied(_dump(old), _dump(new), change))


def diff_on(
    old: Policy, new: Policy, scenario_of: ScenarioOf, *, limit: int, progress: Progress | None = None
) -> PolicyDiff:
    """Decide on everybody by the old policy, by the new one, and by the old one with each change alone.

    Expected values are measured as the old policy measures value, with the propensities of the one of the two that
    hides less from the models (`compare`).

    Parameters
    ----------
    scenario_of : from a policy to the scenario in which it is in use; called once for each policy
    limit : offers a customer gets at most

    Raises
    ------
    NotFound : when a policy lacks the channel
    """
    changes = changes_between(old, new)
    variants: list[Policy | str] = [_alone(old, new, change) for change in changes]
    deciding = [n for n, change in enumerate(changes) if change.decides and isinstance(variants[n], Policy)]
    if sum(change.decides for change in changes) == 1:
        deciding = []  # it is all that the whole does
    policies = [old, new, *(variant for n in deciding if isinstance(variant := variants[n], Policy))]
    scenarios = _made_ready(policies, scenario_of, progress)
    hides_less = min(scenarios[:2], key=lambda scenario: len(set(scenario.policy.policy.attributes.not_used)))
    compared = scenarios[1:] if any(change.decides for change in changes) else []
    simulation, differences = compare(
        scenarios[0], compared, limit=limit, judge=hides_less.score, progress=progress
    )  # fmt: skip
    none = Difference.none(len(simulation.product_ids))
    whole = differences[0] if differences else none
    found = dict(zip(deciding, differences[1:], strict=False))
    effects = []
    for number, (change, variant) in enumerate(zip(changes, variants, strict=True)):
        if isinstance(variant, str):
            effects.append(ChangeEffect(change, None, variant))
        else:
            effects.append(ChangeEffect(change, found.get(number, whole) if change.decides else none))
    before, after = scenarios[0].context, scenarios[1].context
    return PolicyDiff(
        old.name, new.name, before.channel, after.channel, before.day, after.day, simulation.product_ids,
        simulation.customers, simulation.expected_value, whole, tuple(effects),
    )  # fmt: skip


def _made_ready(policies: Sequence[Policy], scenario_of: ScenarioOf, progress: Progress | None) -> list[Scenario]:
    """The policies' scenarios; those that hide the same from the models share their score."""
    task = progress.add_task("Making policies ready", total=len(policies)) if progress else None
    scores: dict[frozenset[str], Score] = {}
    scenarios = []
    for policy in policies:
        scenario = scenario_of(policy)
        score = scores.setdefault(frozenset(policy.attributes.not_used), scenario.score)
        scenarios.append(replace(scenario, score=score))
        if progress and task is not None:
            progress.advance(task)
    return scenarios


def _alone(old: Policy, new: Policy, change: Change) -> Policy | str:
    """The old policy with one change, or what would be wrong with it."""
    try:
        return with_change(old, new, change)
    except ValidationError as error:
        return "; ".join(str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors())


# ------------------------------------------------------------------------------------------------ finding the changes


def _changes(path: Path, old: Any, new: Any) -> Iterator[Change]:
    if path in _NAMES:
        yield from _changed_rules(path, old, new)
    elif isinstance(old, dict) and isinstance(new, dict) and path != _ORDERED:
        for key in _merged(list(old), list(new)):
            if key in old and key in new:
                yield from _changes((*path, key), old[key], new[key])
            else:
                kind: Kind = "added" if key in new else "removed"
                yield Change(kind, (*path, key), None, tuple(_key_changes(old.get(key), new.get(key))))
        if path == _CHANNELS:
            yield from _moved_channel(old, new)
    elif old != new or (path == _ORDERED and list(old) != list(new)):
        kind = "added" if old is None else "removed" if new is None else "changed"
        keys = (KeyChange("", old, new),) if path == _ORDERED else tuple(_key_changes(old, new))
        yield Change(kind, path, None, keys)


def _changed_rules(path: Path, old: Sequence[dict], new: Sequence[dict]) -> Iterator[Change]:
    before, after = _by_name(path, old), _by_name(path, new)
    for name in _merged(list(before), list(after)):
        keys = tuple(_key_changes(before.get(name), after.get(name), besides=_NAMES[path]))
        if name in before and name in after:
            if keys:
                yield Change("changed", path, name, keys)
        else:
            yield Change("added" if name in after else "removed", path, name, keys)


def _moved_channel(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Another channel comes first of those in both policies: where none is named, it is used."""
    first, now_first = (next(name for name in names) for names in (_common(old, new), _common(new, old)))
    if first != now_first:
        yield Change("reordered", _CHANNELS, None, (KeyChange("first", first, now_first),))


def _common(names: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    return [name for name in names if name in others] or [""]


def _key_changes(old: Any, new: Any, key: str = "", besides: str = "") -> Iterator[KeyChange]:
    """The leaves that differ; what is not set, or is an empty list, is None."""
    if isinstance(old, dict) or isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        after = new if isinstance(new, dict) else {}
        for name in _merged(list(before), list(after)):
            if name != besides:
                yield from _key_changes(before.get(name), after.get(name), f"{key}.{name}" if key else name)
    else:
        was, now = (None if value == () else value for value in (old, new))
        if was != now:
            yield KeyChange(key, was, now)


def _merged(old: list[str], new: list[str]) -> list[str]:
    """The names of both, those of `old` in their order, each new one behind the one it follows in `new`."""
    merged = list(old)
    for name in new:
        if name not in merged:
            merged.insert(_place(name, new, merged), name)
    return merged


def _place(name: str, order: list[str], present: list[str]) -> int:
    """Where `name` belongs among those `present`: behind the nearest that precedes it in `order`."""
    for before in reversed(order[: order.index(name)]):
        if before in present:
            return present.index(before) + 1
    return 0


# ---------------------------------------------------------------------------------------------------- applying a change


def _applied(old: dict[str, Any], new: dict[str, Any], change: Change) -> dict[str, Any]:
    """A copy of the dump `old` with one of the changes to `new`."""
    changed = deepcopy(old)
    *way, key = change.path
    parent, source = _at(changed, way), _at(new, way)
    if change.rule is not None:
        before, after = _by_name(change.path, parent[key]), _by_name(change.path, source[key])
        parent[key] = tuple(_with(change.rule, before, after).values())
    elif change.kind == "reordered":
        (moved,) = change.keys
        names = [name for name in parent[key] if name != moved.new]
        names.insert(names.index(moved.old), moved.new)
        parent[key] = {name: parent[key][name] for name in names}
    else:
        content = _with(key, parent, source)
        parent.clear()
        parent.update(content)
    return changed


def _with(name: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """`before` with what `after` says of one name, or without it where that says nothing."""
    if name not in after:
        return {other: value for other, value in before.items() if other != name}
    names = list(before)
    if name not in before:
        names.insert(_place(name, list(after), names), name)
    return {other: after[other] if other == name else before[other] for other in names}


def _at(content: dict[str, Any], way: Sequence[str]) -> dict[str, Any]:
    for key in way:
        content = content[key]
    return content


def _by_name(path: Path, rules: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule[_NAMES[path]]: rule for rule in rules}


def _dump(policy: Policy) -> dict[str, Any]:
    content = policy.model_dump(by_alias=True)
    for section in SCOPED_SECTIONS:
        for rule in content[section]:
            # a scope says nothing of a dimension, or something: it refuses an empty list
            rule["for"] = {dimension: names for dimension, names in rule["for"].items() if names}
    return content


def _validated(content: dict[str, Any]) -> Policy:
    return Policy.model_validate(content)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
