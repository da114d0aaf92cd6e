"""A policy in words, for who answers for it: section by section, each rule by name and with its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from features import Catalogue

from ...language import Language
from .phrases import Phrases, figure, percent
from .schema import Policy
from .sections import DIMENSIONS, TRIGGERS, After, ContactRule, EligibilityRule, Rule, Scope
from .suitability_pack import SuitabilityPack

Section = tuple[str, list[str]]
"""A heading and its sentences."""


def policy_words(
    policy: Policy, language: Language = Language.EN, catalogue: Catalogue | None = None
) -> tuple[Section, ...]:
    """The policy as headings and sentences, in the order in which a decision goes through it.

    Parameters
    ----------
    catalogue : tells which product is of which family, so that only rules which can meet are said to take each other's
        place; without it any two whose scopes the file leaves open are
    """
    words = _Words(policy, Phrases(language), catalogue)
    return tuple((words.phrases.say(name), list(sentences())) for name, sentences in words.sections().items())


def as_text(sections: tuple[Section, ...]) -> str:
    """Headings and sentences as lines."""
    return "\n\n".join("\n".join([heading, *(f"  {sentence}" for sentence in lines)]) for heading, lines in sections)


def silence_words(rule: ContactRule, phrases: Phrases) -> str:
    """What a contact rule asks for, in the middle of a sentence."""
    return phrases.say(
        "silence",
        what=_after(rule.after, phrases),
        about=phrases.say(f"about_{rule.scope.value}"),
        days=phrases.days(rule.silent_days),
    )


def _after(after: After, phrases: Phrases) -> str:
    if after.times == 1:
        return phrases.say(after.outcome)
    outcomes = phrases.say(f"times_{after.outcome}", times=after.times)
    return phrases.say("several", outcomes=outcomes, days=phrases.days(after.within_days))


class _Words:
    def __init__(self, policy: Policy, phrases: Phrases, catalogue: Catalogue | None) -> None:
        self.policy, self.phrases, self.catalogue = policy, phrases, catalogue
        self.say = phrases.say

    def sections(self) -> dict[str, Callable[[], Iterator[str]]]:
        return {
            "policy": self._policy,
            "names": self._names,
            "eligibility": self._eligibility,
            "suitability": self._suitability,
            "consent": self._consent,
            "contact_policy": self._contact_policy,
            "triggers": self._triggers,
            "service_actions": self._service_actions,
            "arbitration": self._arbitration,
            "fairness": self._fairness,
        }

    def _policy(self) -> Iterator[str]:
        policy = self.policy
        yield self.say("named", name=policy.policy, version=policy.version, owner=policy.owner)
        yield self.say(policy.decision_day)

    def _names(self) -> Iterator[str]:
        policy, listed = self.policy, self.say("comma").join
        tiers = [
            tier if assets is None else self.say("tier_from", name=tier, assets=figure(assets))
            for tier, assets in policy.tiers.items()
        ]
        yield self.say("tiers", names=listed(tiers)) if tiers else self.say("no_tiers")
        if policy.debts:
            yield self.say("debts", names=self.phrases.all_of(policy.debts))
        channels = [
            self.say("channel_cost", name=name, cost=figure(channel.cost), minute=figure(channel.cost_per_minute))
            if channel.cost or channel.cost_per_minute
            else self.say("channel_free", name=name)
            for name, channel in policy.channels.items()
        ]
        yield self.say("channels", names=listed(channels), default=policy.default_channel)
        stages = [
            self.say("stage", name=name, low=stage.from_age, high=stage.to_age)
            for name, stage in policy.life_stages.items()
        ]
        if stages:
            yield self.say("stages", names=listed(stages))
        for name in ("not_spoken", "not_used"):
            if getattr(policy.attributes, name):
                yield self.say(name, names=listed(getattr(policy.attributes, name)))

    def _eligibility(self) -> Iterator[str]:
        yield self.say("catalogue_holds")
        if not self.policy.eligibility:
            yield self.say("no_eligibility")
        for rule in self.policy.eligibility:
            yield self._with_inheritance(rule, self.policy.eligibility, self._conditions)

    def _conditions(self, rule: EligibilityRule, only: Sequence[str] | None = None) -> str:
        return self.say("comma").join(
            self.say(name, value=self._condition(name, value))
            for name, value in rule.settings.items()
            if only is None or name in only
        )

    def _condition(self, name: str, value: object) -> str:
        if isinstance(value, tuple):
            return self.phrases.all_of(value) if name == "requires" else self.phrases.any_of(value)
        return figure(value) if isinstance(value, (int, float)) else str(value)

    def _suitability(self) -> Iterator[str]:
        pack = self.policy.suitability.pack
        yield self.say("pack", name=pack.pack)
        if pack.sources:
            yield self.say("sources", names=self.say("semicolon").join(pack.sources))
        for level, ratings in pack.allowed.items():
            phrase = "allowed" if ratings else "allowed_none"
            yield self.say(phrase, level=level, ratings=self.phrases.any_of(ratings))
        yield self.say("higher_counts")
        yield self.say("valid", days=self.phrases.days(pack.valid_days))
        yield from self._means_and_age(pack)
        yield from self._client_asked(pack)
        if self.policy.suitability.rated_families:
            yield self.say("rated", names=self.phrases.any_of(self.policy.suitability.rated_families))

    def _means_and_age(self, pack: SuitabilityPack) -> Iterator[str]:
        if pack.elderly is not None:
            elderly = pack.elderly
            yield self.say("elderly", age=elderly.from_age, rating=elderly.from_rating)
            if pack.client_asked is not None and "ELDERLY_HIGH_RISK" in pack.client_asked.allows:
                yield self.say("elderly_asks", step=elderly.step)
        for funds in pack.funds:
            if funds.min_assets is not None:
                yield self.say("min_assets", rating=funds.from_rating, value=figure(funds.min_assets))
            if funds.max_debt_to_assets is not None:
                yield self.say("max_debt", rating=funds.from_rating, value=figure(funds.max_debt_to_assets))

    def _client_asked(self, pack: SuitabilityPack) -> Iterator[str]:
        asked = pack.client_asked
        if asked is None or not asked.allows:
            yield self.say("client_asked_nothing")
            return
        yield self.say(
            "client_asked", reasons=self.phrases.any_of(self.say(reason) for reason in asked.allows), step=asked.step
        )
        if asked.barred_levels:
            yield self.say("barred", names=self.phrases.any_of(asked.barred_levels))

    def _consent(self) -> Iterator[str]:
        yield self.say("consent_newest")
        yield self.say(f"marketing_{self.policy.consent.marketing_without_record}")
        yield self.say(f"personalisation_{self.policy.consent.personalisation_without_record}")

    def _contact_policy(self) -> Iterator[str]:
        contact = self.policy.contact_policy
        for rule in contact.rules:
            silence = silence_words(rule, self.phrases)
            yield self._named(rule.rule, silence[:1].upper() + silence[1:] + self.say("stop"), rule.note)
        if contact.later is None:
            yield self.say("no_later")
        else:
            later = contact.later
            yield self.say(
                "said_later",
                after=self.phrases.days(later.after_days),
                raised=self.phrases.days(later.for_days),
                weight=figure(later.weight),
            )
        yield self.say(f"complaint_{contact.open_complaint}")

    def _triggers(self) -> Iterator[str]:
        none = True
        for name in TRIGGERS:
            trigger = getattr(self.policy.triggers, name)
            if trigger is None:
                continue
            none = False
            when = self.say(name, **self._figures_of(trigger))
            if trigger.raises is None:
                sentence = self.say("raises_nothing", when=when)
            else:
                raised = Scope.model_construct(product=trigger.raises.product, family=trigger.raises.family)
                what = self.phrases.all_of(self._parts(raised))
                sentence = self.say("raises", when=when, what=what, weight=figure(trigger.raises.weight))
            yield self._named(name, sentence)
        if none:
            yield self.say("no_triggers")

    def _figures_of(self, trigger: object) -> dict[str, str]:
        """What the sentence of a trigger may have in it, by the names of its gaps."""
        writers: dict[str, tuple[str, Callable]] = {
            "family": ("family", self.phrases.any_of),
            "product": ("product", self.phrases.any_of),
            "kind": ("kind", lambda kinds: self.phrases.any_of(map(self.say, kinds))),
            "ages": ("ages", self.phrases.any_of),
            "within_days": ("days", self.phrases.days),
            "within_periods": ("periods", figure),
            "over_periods": ("periods", figure),
            "times": ("times", figure),
            "least": ("least", figure),
            "left": ("left", percent),
            "to": ("to", percent),
            "within": ("within", percent),
        }
        return {
            gap: write(getattr(trigger, field)) for field, (gap, write) in writers.items() if hasattr(trigger, field)
        }

    def _service_actions(self) -> Iterator[str]:
        if not self.policy.service_actions:
            yield self.say("no_actions")
        for action in self.policy.service_actions:
            known = action.when not in TRIGGERS
            when = self.say(f"when_{action.when}") if known else self.say("when_trigger", name=action.when)
            text = self.phrases.pick(action.text, action.text_zh)
            yield self._named(action.action, self.say("action", when=when, text=text))

    def _arbitration(self) -> Iterator[str]:
        policy, arbitration = self.policy, self.policy.arbitration
        yield self.say("priority")
        if not policy.floors:
            yield self.say("no_floor")
        for floor in policy.floors:
            yield self._with_inheritance(
                floor, policy.floors, lambda rule, only=None: self.say("floor", value=percent(rule.floor))
            )
        yield self.say("value", years=figure(arbitration.max_life_years), rate=percent(arbitration.discount_rate))
        for weight in policy.context:
            yield self._rule(weight, self.say("weight", value=figure(weight.weight)))
        low, high = arbitration.context_limits
        yield self.say("limits", low=figure(low), high=figure(high))
        for lever in policy.levers:
            what = self.say("lever", value=figure(lever.factor), expires=lever.expires, owner=lever.owner)
            yield self._rule(lever, what)
        ceiling = arbitration.lever_ceiling
        yield self.say("ceiling", low=format(1 / ceiling, ".3g"), high=figure(ceiling))
        ramp = arbitration.ramp
        if ramp is None:
            yield self.say("no_ramp")
        else:
            yield self.say("ramp", weight=figure(ramp.weight), evidence=figure(ramp.evidence))

    def _fairness(self) -> Iterator[str]:
        fairness = self.policy.fairness
        if not fairness.attributes:
            yield self.say("no_fairness")
            return
        names = self.phrases.all_of(fairness.attributes)
        yield self.say("watched", names=names, ratio=figure(fairness.rate_ratio), gini=figure(fairness.gini))
        for family, limit in fairness.by_family.items():
            yield self.say("watched_family", family=family, ratio=figure(limit.rate_ratio), gini=figure(limit.gini))

    def _with_inheritance(self, rule: Rule, rules: Sequence[Rule], what: Callable[..., str]) -> str:
        """A rule's sentence, and which more particular rules take its place where."""
        instead = [
            self.say("instead", scope=self._scope(other.scope), what=what(other, only=shared), name=other.rule)
            for other in sorted(rules, key=lambda other: other.scope.specificity)
            if other.scope.specificity > rule.scope.specificity
            and (shared := _shared(rule, other))
            and self._can_meet(rule.scope, other.scope)
        ]
        return self._rule(rule, self.say("semicolon").join([what(rule), *instead]))

    def _can_meet(self, one: Scope, other: Scope) -> bool:
        if not one.overlaps(other):
            return False
        return self.catalogue is None or any(
            one.speaks_of(product) and other.speaks_of(product) for product in self.catalogue.products
        )

    def _rule(self, rule: Rule, what: str) -> str:
        scope = self._scope(rule.scope)
        sentence = self.say("for", scope=scope, what=what) if scope else self.say("for_all", what=what)
        return self._named(rule.rule, sentence + self.say("stop"), rule.note)

    def _named(self, name: str, sentence: str, note: str | None = None) -> str:
        words = self.say("rule", name=name, sentence=sentence)
        return words + self.say("note", note=note) if note else words

    def _scope(self, scope: Scope) -> str:
        return self.say("comma").join(self._parts(scope))

    def _parts(self, scope: Scope) -> list[str]:
        return [
            self.say(dimension, names=self.phrases.any_of(self._names_in(dimension, getattr(scope, dimension))))
            for dimension in DIMENSIONS
            if getattr(scope, dimension)
        ]

    def _names_in(self, dimension: str, names: Sequence[str]) -> list[str]:
        return [self.say(name) if dimension == "kind" else name for name in names]


def _shared(rule: Rule, other: Rule) -> tuple[str, ...]:
    """The conditions that both set."""
    if isinstance(rule, EligibilityRule) and isinstance(other, EligibilityRule):
        return tuple(name for name in rule.settings if name in other.settings)
    return ("floor",)
