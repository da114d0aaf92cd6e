"""A small sound policy as text, for tests to break in one place."""

from pathlib import Path

SOUND = """\
policy: small
version: "1"
owner: Ann
decision_day: as_of
tiers:
  ordinary:
  vip: 100
  wealth: 1_000
channels:
  rm: {}
  sms: {}
suitability:
  pack: china
eligibility:
  - rule: cards
    for: {family: cards}
    min_age: 18
floors:
  - rule: least
    floor: 0.001
levers:
  - rule: spring-push
    for: {product: credit_card}
    factor: 1.5
    owner: Ann
    expires: 2026-12-31
"""
"""Its products and families are among those of the synthetic bank."""


def write_policy(folder: Path, old: str = "", new: str = "", text: str = SOUND) -> Path:
    """The text as ``policy.yaml`` in `folder`, with `new` where it has `old`, or at its end."""
    assert text.count(old) == 1 or not old, f"{old!r} stands {text.count(old)} times in the text"
    path = folder / "policy.yaml"
    path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    return path


def line_of(path: Path, words: str) -> int:
    """The line, from 1, in which `words` stand, the last one of several."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return max(number for number, line in enumerate(lines, 1) if words in line)
