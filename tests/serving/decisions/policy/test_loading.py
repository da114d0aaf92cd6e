"""A broken policy is refused with file, line, key and rule of everything that is wrong with it."""
# ruff: noqa: E501 - a broken place is a line

import shutil

import pytest

from features.errors import BadConfiguration
from serving.decisions.policy.loading import load_policy, policy_path, shipped_packs, standard_policy_path
from tests.serving.decisions.policy.policy_texts import SOUND, line_of, write_policy

POLICIES = sorted(standard_policy_path().parent.glob("*.yaml"))


def refusal(path):
    with pytest.raises(BadConfiguration) as refused:
        load_policy(path)
    return str(refused.value).splitlines()


class TestSoundFiles:
    @pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
    def test_shipped_policies_load(self, path):
        loaded = load_policy(path)
        assert loaded.policy.policy == path.stem
        assert loaded.pack_beside is None

    @pytest.mark.parametrize("name", shipped_packs())
    def test_shipped_packs_load(self, tmp_path, name):
        loaded = load_policy(write_policy(tmp_path, "pack: china", f"pack: {name}"))
        assert loaded.policy.suitability.pack.pack == name
        assert loaded.policy.suitability.pack.sources

    def test_the_standard_policy_names_nothing_of_a_bank(self):
        policy = load_policy(standard_policy_path()).policy
        assert (policy.tiers, policy.debts, policy.eligibility, policy.floors) == ({}, (), (), ())

    def test_a_name_says_version_and_content(self, tmp_path):
        name = load_policy(write_policy(tmp_path)).name
        start, digest = name.split("#")
        assert start == "small@1"
        assert len(digest) == 12
        assert int(digest, 16) >= 0

    def test_a_byte_of_the_policy_or_of_its_pack_changes_the_digest(self, tmp_path):
        packs = standard_policy_path().parents[1] / "packs"
        shutil.copy(packs / "china.yaml", tmp_path / "ours.yaml")
        path = write_policy(tmp_path, "pack: china", "pack: ours.yaml")
        first = load_policy(path)
        assert first.pack_beside == tmp_path / "ours.yaml"
        assert load_policy(path).digest == first.digest
        with (tmp_path / "ours.yaml").open("a", encoding="utf-8") as pack:
            pack.write("# reviewed\n")
        second = load_policy(path)
        write_policy(tmp_path, 'version: "1"', "version: '1'", path.read_text(encoding="utf-8"))
        assert len({first.digest, second.digest, load_policy(path).digest}) == 3

    def test_a_pack_may_stand_in_the_policy(self, tmp_path):
        pack = "pack: {pack: own, valid_days: 30, allowed: {C1: [], C2: [], C3: [R1], C4: [R1], C5: [R1, R2]}}"
        loaded = load_policy(write_policy(tmp_path, "pack: china", pack))
        assert loaded.policy.suitability.pack.valid_days == 30

    def test_a_byte_order_mark_is_none_of_the_text(self, tmp_path):
        path = write_policy(tmp_path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert load_policy(path).policy.policy == "small"

    def test_words_that_yaml_takes_for_truth_are_names(self, tmp_path):
        path = write_policy(tmp_path, "for: {family: cards}", "for: {family: [on, no]}")
        assert load_policy(path).policy.eligibility[0].scope.family == ("on", "no")

    def test_a_workspace_without_a_policy_has_the_standard_one(self, tmp_path):
        assert policy_path(tmp_path) == standard_policy_path()
        own = write_policy(tmp_path)
        assert policy_path(tmp_path) == own


BROKEN = {
    # what is broken: (what stood there, what stands there now, words of the line blamed, key, words of the message)
    "lever without expiry": ("    expires: 2026-12-31\n", "", "rule: spring-push", "levers[0] (spring-push).expires", "required"),
    "lever above ceiling": ("factor: 1.5", "factor: 2.5", "factor: 2.5", "levers[0] (spring-push).factor", "lever_ceiling 2"),
    "lever below the inverse": ("factor: 1.5", "factor: 0.4", "factor: 0.4", "levers[0] (spring-push).factor", "0.5 to 2"),
    "unknown key": ("min_age: 18", "min_agee: 18", "min_agee", "eligibility[0] (cards).min_agee", "'min_age' was meant"),
    "unknown section": ("floors:", "flors:", "flors:", "flors", "'floors' was meant"),
    "duplicate key": ("min_age: 18", "min_age: 18\n    min_age: 21", "min_age: 21", "eligibility[0] (cards).min_age", "first in line"),
    "duplicate section": ("owner: Ann\ndecision", "owner: Ann\nowner: Bob\ndecision", "owner: Bob", "owner", "given twice"),
    "min above max": ("min_age: 18", "min_age: 18\n    max_age: 17", "rule: cards", "eligibility[0] (cards)", "min_age 18 is above max_age 17"),
    "required by itself": ("for: {family: cards}\n    min_age: 18", "for: {product: [a, b]}\n    requires: b", "requires: b",
                           "eligibility[0] (cards).requires", "'b' is required by itself"),
    "requires what it excludes": ("min_age: 18", "requires: [a, b]\n    excludes: b", "rule: cards", "eligibility[0] (cards)", "name 'b'"),
    "says nothing": ("    min_age: 18\n", "", "rule: cards", "eligibility[0] (cards)", "says nothing"),
    "unordered tiers": ("wealth: 1_000", "wealth: 50", "wealth: 50", "tiers.wealth", "assets must rise"),
    "equal tiers": ("wealth: 1_000", "wealth: 100", "wealth: 100", "tiers.wealth", "assets must rise"),
    "unknown tier": ("{family: cards}", "{family: cards, tier: gold}", "tier: gold", "eligibility[0] (cards).for.tier", "'gold', which the policy"),
    "unknown min_tier": ("min_age: 18", "min_tier: gold", "min_tier: gold", "eligibility[0] (cards).min_tier", "'gold', which the policy"),
    "unknown channel": ("{family: cards}", "{channel: fax}", "fax", "eligibility[0] (cards).for.channel", "'fax', which the policy"),
    "a rule for nothing": ("{family: cards}", "{family: []}", "family: []", "eligibility[0] (cards).for.family", "names nothing"),
    "a number that is none": ("min_age: 18", "min_balance: .nan", ".nan", "eligibility[0] (cards).min_balance", "finite"),
    "a word for a number": ("min_age: 18", "min_age: yes", "min_age: yes", "eligibility[0] (cards).min_age", "should be a number, and is yes"),
    "a day that is none": ("2026-12-31", "2026-02-30", "2026-02-30", "levers[0] (spring-push).expires", "day of the calendar"),
    "a number for text": ('version: "1"', "version: 1", "version: 1", "version", "quotes"),
    "an unknown pack": ("pack: china", "pack: chine", "pack: chine", "suitability.pack", "there are: china"),
    "a pack file that is not there": ("pack: china", "pack: ours.yaml", "pack: ours.yaml", "suitability.pack", "no file"),
    "no pack": ("  pack: china", "  rated_families: cards", "suitability:", "suitability.pack", "required"),
    "an empty section": ("floors:\n  - rule: least\n    floor: 0.001\n", "floors:\n", "floors:", "floors", "leave the key out"),
    "a choice that is none": ("as_of", "tomorrow", "tomorrow", "decision_day", "should be 'today' or 'as_of', and is tomorrow"),
}  # fmt: skip
ADDED = {
    # what is added at the end: (text, words of the line blamed, key, words of the message)
    "name given twice": ("context:\n  - {rule: cards, weight: 2}\n", "rule: cards, weight", "context[0] (cards).rule", "two rules"),
    "needed attribute not used": ("attributes: {not_used: [birth_date]}\n", "birth_date", "attributes.not_used[0]", "'birth_date'"),
    "overlapping stages": ("life_stages:\n  young: {from_age: 1, to_age: 30}\n  old: {from_age: 30, to_age: 90}\n", "old:", "life_stages.old", "aged 30"),
    "an action for no trigger": ("service_actions:\n  - {action: call, when: maturing, text: a, text_zh: b}\n", "action: call",
                                 "service_actions[0] (call).when", "not among the policy's triggers"),
}  # fmt: skip


class TestBrokenFiles:
    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_broken_place_is_named(self, tmp_path, broken):
        old, new, blamed, key, message = BROKEN[broken]
        path = write_policy(tmp_path, old, new)
        self.assert_only(path, blamed, key, message)

    @pytest.mark.parametrize("added", ADDED)
    def test_what_cannot_hold_together_is_named(self, tmp_path, added):
        text, blamed, key, message = ADDED[added]
        self.assert_only(write_policy(tmp_path, new=text), blamed, key, message)

    @staticmethod
    def assert_only(path, blamed, key, message):
        (sentence,) = refusal(path)
        assert sentence.startswith(f"{path}:{line_of(path, blamed)}: {key}")
        assert message in sentence

    def test_competing_rules_are_named_at_the_second(self, tmp_path):
        rules = "    min_age: 18\n  - rule: plastic\n    for: {family: [cards, loans]}\n    min_age: 21\n"
        path = write_policy(tmp_path, "    min_age: 18\n", rules)
        (sentence,) = refusal(path)
        assert sentence.startswith(f"{path}:{line_of(path, 'min_age: 21')}: eligibility[1] (plastic).min_age: ")
        assert "'cards' and 'plastic' both set min_age" in sentence

    def test_competing_floors_are_named_at_the_second(self, tmp_path):
        path = write_policy(tmp_path, "    floor: 0.001\n", "    floor: 0.001\n  - {rule: more, floor: 0.002}\n")
        (sentence,) = refusal(path)
        assert sentence.startswith(f"{path}:{line_of(path, 'rule: more')}: floors[1] (more).floor: ")

    def test_everything_is_said_at_once_in_the_order_of_the_file(self, tmp_path):
        text = SOUND.replace("wealth: 1_000", "wealth: 50").replace("min_age: 18", "min_age: old")
        path = write_policy(
            tmp_path, "    expires: 2026-12-31\n", "  - {rule: least, factor: 9, owner: B, expires: 2027-01-01}\n", text
        )
        said = refusal(path)
        lines = [int(sentence.removeprefix(f"{path}:").split(":")[0]) for sentence in said]
        assert lines == sorted(lines)
        for words in ("tiers.wealth", "eligibility[0] (cards).min_age", "levers[0] (spring-push).expires: required",
                      "levers[1] (least).rule", "levers[1] (least).factor"):  # fmt: skip
            assert len([sentence for sentence in said if words in sentence]) == 1, words
        assert len(said) == 5

    @pytest.mark.parametrize(
        ("data", "line", "message"),
        [
            (b"", 1, "is empty"),
            (b"# nothing yet\n", 1, "is empty"),
            (b"policy: a\nowner: \xcd\xf5\n", 2, "is not UTF-8"),
            (b"policy: a\nrules: [1, 2\nowner: b\n", 3, "is not valid YAML"),
            (b"policy: a\n\towner: b\n", 2, "is not valid YAML"),
            (b"policy: a\nowner: b\x07\n", 2, "does not allow"),
            (b"policy: !!python/object:os.system a\n", 1, "is not valid YAML"),
            (b"policy: a\n---\npolicy: b\n", 2, "is not valid YAML"),
            (b"- a\n- b\n", 1, "keys and values, and is a list"),
            (b"just words\n", 1, "keys and values"),
            (b"[" * 5000, 1, "nested too deeply"),
        ],
    )
    def test_what_is_no_yaml_is_refused_with_its_line(self, tmp_path, data, line, message):
        path = tmp_path / "policy.yaml"
        path.write_bytes(data)
        (sentence,) = refusal(path)
        assert sentence.startswith(f"{path}:{line}: ")
        assert message in sentence

    def test_an_alias_that_leads_back_is_refused(self, tmp_path):
        assert refusal(write_policy(tmp_path, new="debts: &a [*a]\n"))

    @pytest.mark.parametrize("name", ["missing.yaml", "."])
    def test_there_must_be_a_file(self, tmp_path, name):
        (sentence,) = refusal(tmp_path / name)
        assert "no such file" in sentence


class TestBrokenPacks:
    """What is wrong with a pack is said with the pack's own file and line."""

    PACK = "pack: ours\nallowed:\n  C1: [R1]\n  C2: [R1]\n  C3: [R1]\n  C4: [R1]\n  C5: [R1]\nvalid_days: 365\n"

    @pytest.mark.parametrize(
        ("old", "new", "key", "message"),
        [
            ("C5: [R1]", "C5: [R1]\n  C6: [R1]", "allowed.C6", "should be 'C1', 'C2', 'C3', 'C4' or 'C5', and is C6"),
            ("C5: [R1]", "C5: [R1, R9]", "allowed.C5[1]", "and is R9"),
            ("valid_days: 365", "valid_days: 0", "valid_days", "at least 1, and is 0"),
            ("valid_days: 365", "valid_days: 365\nvalid_day: 3", "valid_day", "'valid_days' was meant"),
            ("valid_days: 365", "valid_days: 365\nvalid_days: 3", "valid_days", "given twice"),
        ],
    )
    def test_a_broken_place_is_named(self, tmp_path, old, new, key, message):
        pack = tmp_path / "ours.yaml"
        pack.write_text(self.PACK.replace(old, new), encoding="utf-8")
        (sentence,) = refusal(write_policy(tmp_path, "pack: china", "pack: ours.yaml"))
        blamed = new.splitlines()[-1]
        assert sentence.startswith(f"{pack}:{line_of(pack, blamed)}: {key}: ")
        assert message in sentence

    def test_a_level_that_is_left_out_is_named(self, tmp_path):
        pack = tmp_path / "ours.yaml"
        pack.write_text(self.PACK.replace("  C4: [R1]\n", ""), encoding="utf-8")
        (sentence,) = refusal(write_policy(tmp_path, "pack: china", "pack: ours.yaml"))
        assert sentence.startswith(f"{pack}:2: allowed: level C4 has no line")

    def test_a_level_outside_the_matrix_is_named_within_the_policy_too(self, tmp_path):
        pack = "pack: {pack: own, valid_days: 30, allowed: {C1: [], C2: [], C3: [], C4: [], C5: [], C6: [R1]}}"
        path = write_policy(tmp_path, "pack: china", pack)
        (sentence,) = refusal(path)
        assert sentence.startswith(f"{path}:{line_of(path, 'C6')}: suitability.pack.allowed.C6: ")

    def test_policy_and_pack_are_said_at_once(self, tmp_path):
        (tmp_path / "ours.yaml").write_text("", encoding="utf-8")
        text = SOUND.replace("pack: china", "pack: ours.yaml")
        said = refusal(write_policy(tmp_path, "min_age: 18", "min_age: old", text))
        assert len(said) == 2
        assert "ours.yaml:1: is empty" in said[0]
