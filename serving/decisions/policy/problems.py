"""What is wrong with a policy, each problem with the file, the line and the key where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import BadConfiguration


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or that somebody should know.

    Attributes
    ----------
    line : from 1
    key : the keys that lead to it, with the rule's name where it is in one: ``levers[0] (spring-push).expires``
    message : what is wrong and what to do
    fails : the policy cannot be used; otherwise a warning
    """

    path: Path
    line: int
    key: str
    message: str
    fails: bool = True

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: " + (f"{self.key}: " if self.key else "") + self.message


class BadPolicy(BadConfiguration):
    """A policy that cannot be used; the message has a line for each of its problems, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems by file and line, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (str(problem.path), problem.line)))


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first five and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
