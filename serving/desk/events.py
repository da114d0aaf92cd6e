"""What may be said to have happened to a customer, and whether it counts: what cannot have happened is refused, and
what counts for nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite, isnan
from typing import Any

from features.contracts import KINDS
from features.errors import BadInput

from ..answering.answer import Answer, Question
from ..answering.engine import DecisionEngine
from ..answering.overview.dealings import consents_of
from ..answering.overview.known import Known
from ..decisions import FreshEvent, FreshEvents
from ..decisions.policy.refused_values import meant
from ..deployment import heard
from ..records import Entry, StoredEntry
from ..records.entries import now

MOST_EVENTS = 200
"""Events of one customer that decisions may have to hear of: more are no customer's, and each is laid over the states,
and named on record, in every decision."""


@dataclass(frozen=True)
class Counting:
    """Whether decisions hear of something that was said.

    Attributes
    ----------
    since : the day for which the first decision that hears of it is made; None: none does
    because, because_zh : why none does, or what else holds; None: nothing is to be said
    """

    since: date | None
    because: str | None = None
    because_zh: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"counts_from": self.since, "because": self.because, "because_zh": self.because_zh}


def day_of(day: date | None, engine: DecisionEngine) -> date:
    """The day on which something happened, by default that for which decisions are made now.

    Raises
    ------
    BadInput : when it has not come for those who decide
    """
    now = engine.day()
    if day is None:
        return now
    if day > now:
        why = "" if now == engine.clock.today() else ", the last day of the bank's data, as its policy says"
        raise BadInput(f"day: {day} has not come: decisions are made for {now}{why}. Name that day at the latest")
    return day


def check_event(event: FreshEvent, known: Sequence[FreshEvent], engine: DecisionEngine) -> None:
    """See to it that the event can have happened to the customer, and that decisions know what it speaks of.

    Parameters
    ----------
    known : what decisions have heard of the customer so far

    Raises
    ------
    BadInput : when it cannot
    NotFound : when there is no such customer or product
    """
    check_room(event.customer_id, known)
    channels = engine.policy.policy.channels
    if event.channel is not None and event.channel not in channels:
        raise BadInput(
            f"channel: the policy has no {event.channel!r}{meant(event.channel.lower(), tuple(channels))}; it has: "
            f"{', '.join(channels)}"
        )
    if event.kind in ("opened", "closed"):
        _check_order(event, known)
        _check_holding(event, _seen(event, known, engine), engine)
    elif event.kind == "complaint_resolved":
        seen = _seen(event, known, engine)
        if not seen.decisions.silences.complaint[seen.row]:
            raise BadInput(f"kind: customer {event.customer_id!r} has no open complaint")
    elif event.kind == "balance_jump":
        _check_jump(event, _seen(event, known, engine))


def check_room(customer_id: str, known: Sequence[FreshEvent]) -> None:
    """See to it that decisions can hear of one more event of a customer.

    Raises
    ------
    BadInput : when they hear of `MOST_EVENTS` already
    """
    if len(known) >= MOST_EVENTS:
        raise BadInput(
            f"customer {customer_id!r} has {len(known)} events that decisions hear of already, and may have "
            f"{MOST_EVENTS}: build states from newer tables, which then know of them"
        )


def counting(entry: Entry, event: FreshEvent, known: Sequence[FreshEvent], engine: DecisionEngine) -> Counting:
    """Whether decisions hear of `event`, which `entry` puts on record now, after what they have heard of so far."""
    stored = StoredEntry(0, entry.entry_id, entry.kind, entry.at or now(), entry.customer_id, entry.payload)
    day = engine.day()
    if not heard(event.customer_id, [stored], engine):
        return Counting(None, "the bank's tables tell of it already", "银行数据中已有此记录")
    if event.kind not in ("consent", "complaint_resolved"):
        return Counting(day)
    answer = _seen(event, [*known, event], engine)
    if event.kind == "complaint_resolved":
        if answer.decisions.silences.complaint[answer.row]:
            return Counting(None, f"a complaint made after {event.day} stays open", f"{event.day} 之后的投诉仍未解决")
        return Counting(day)
    fresh = FreshEvents.of(engine.states, [*known, event]).by(day)
    customer = Known.of(answer.block, answer.row, fresh, day)
    standing = consents_of(customer, engine.policy.policy.consent)
    found = {(each.purpose, each.channel): each for each in standing}
    mine = found[str(event.purpose), event.channel]
    if mine.granted != event.granted:
        if event.granted:
            return Counting(
                None,
                f"a refusal of {mine.since} stands: of several answers the newest counts, of one day the refusal",
                f"{mine.since} 的拒绝仍然有效：以最新答复为准，同一天以拒绝为准",
            )
        return Counting(None, f"a newer answer, of {mine.since}, stands", f"{mine.since} 的较新答复有效")
    everywhere = found.get((str(event.purpose), None))
    if event.granted and event.channel is not None and everywhere is not None and not everywhere.granted:
        return Counting(
            day,
            f"{event.purpose} stays refused altogether, which this channel's answer does not lift",
            "客户仍整体拒绝，单一渠道的同意不能解除",
        )
    return Counting(day)


def _seen(event: FreshEvent, known: Sequence[FreshEvent], engine: DecisionEngine) -> Answer:
    """The customer as a decision sees them after `known`."""
    fresh = FreshEvents.of(engine.states, known)
    (answer,) = engine.answer([Question(event.customer_id, 1, with_reasons=False)], fresh=fresh)
    return answer


def _check_order(event: FreshEvent, known: Sequence[FreshEvent]) -> None:
    for other in known:
        if other.kind in ("opened", "closed") and other.product_id == event.product_id and other.day > event.day:
            raise BadInput(f"day: the product was {other.kind} on {other.day}, after {event.day}: the last word counts")


def _check_holding(event: FreshEvent, seen: Answer, engine: DecisionEngine) -> None:
    catalogue = engine.states.catalogue
    position = catalogue.position_of(str(event.product_id))
    product, kind = catalogue.products[position], int(seen.decisions.facts.kinds[seen.row])
    if event.kind == "closed":
        if not seen.block.held[seen.row, position]:
            raise BadInput(f"product_id: customer {event.customer_id!r} does not hold {product.product_id!r}")
    elif kind < len(KINDS) and product.customer_kind not in (KINDS[kind], "both"):
        raise BadInput(
            f"product_id: {product.product_id!r} is sold to {product.customer_kind} customers, and "
            f"{event.customer_id!r} is {KINDS[kind]}"
        )


def _check_jump(event: FreshEvent, seen: Answer) -> None:
    amount, assets = float(event.amount or 0.0), float(seen.decisions.facts.assets[seen.row])
    if not isfinite(amount) or amount == 0:
        raise BadInput("amount: give what came in or, below 0, went, and not 0")
    if amount < 0 and (isnan(assets) or assets + amount < 0):
        has = "none that are known" if isnan(assets) else f"{assets:,.2f}"
        raise BadInput(f"amount: {-amount:,.2f} cannot have gone: the customer has assets of {has}")
