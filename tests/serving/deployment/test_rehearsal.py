"""Nobody's first answer waits for what could have been made ready."""

from dataclasses import replace

import numpy as np

from serving.deployment.rehearsal import _one_of_each_kind
from tests.command import python


def test_afterwards_nothing_has_to_be_compiled_or_loaded(trained):
    """Counted in a process of its own, in which nobody has asked before: what is compiled for each function."""
    done = python(
        "import gc; from pathlib import Path; from numba.core.dispatcher import Dispatcher\n"
        "from serving.decisions import FreshEvent\n"
        "from serving.deployment import open_in_use, warm_up; from tests.serving.later import CLOCK, After\n"
        "def compiled(): return sum(len(each.overloads) for each in gc.get_objects() if isinstance(each, Dispatcher))\n"
        f"recommender = open_in_use(Path({str(trained)!r}), None, CLOCK).recommender\n"
        "opened = compiled()\n"
        "warm_up(recommender)\n"
        "warm = compiled(); assert warm > opened\n"
        "for customer_id in ('R0000001', 'C000001'):\n"
        "    recommender.recommend(customer_id, 5)\n"
        "    recommender.why_not(customer_id, 'mortgage', 5)\n"
        "    happened = [FreshEvent(customer_id, kind, recommender.day(), product_id='credit_card')\n"
        "                for kind in ('opened', 'closed')]\n"
        "    happened += [FreshEvent(customer_id, 'consent', recommender.day(), purpose='marketing', granted=True),\n"
        "                 FreshEvent(customer_id, 'outcome', recommender.day(), product_id='credit_card',\n"
        "                            channel='rm', outcome='declined'),\n"
        "                 FreshEvent(customer_id, 'balance_jump', recommender.day(), amount=1e6)]\n"
        "    After(recommender, happened).recommend(customer_id, 5)\n"
        "assert compiled() == warm, (compiled(), warm)\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_asks_for_a_customer_of_each_kind_that_exists(recommender):
    states = recommender.states
    profile = states.profile

    def kinds(of):
        positions = np.array([states.position_of(customer_id) for customer_id in _one_of_each_kind(of)])
        return [profile.text("kind", version) for version in profile.indptr[positions]]

    assert sorted(kinds(states)) == ["corporate", "retail"]
    retail = profile.vocabularies["kind"].index("retail")
    only = replace(profile, codes=profile.codes | {"kind": np.full_like(profile.codes["kind"], retail)})
    assert _one_of_each_kind(replace(states, profile=only)) == [states.customer_id(0)]
    nobody = replace(profile, codes=profile.codes | {"kind": np.full_like(profile.codes["kind"], -1)})
    assert _one_of_each_kind(replace(states, profile=nobody)) == []
