"""What the page on policies lists: the settings of a policy file, and the reasons that a decision may give."""

from collections.abc import Iterator

from pydantic import BaseModel

from serving.decisions.policy.schema import Policy
from serving.decisions.reason_codes import Reason
from serving.decisions.why_not.reason_words import REASON_WORDS
from tests.documentation.markdown import code, sentence, table
from tests.documentation.settings import HEAD, about, models_in, rows_of

SEE_ABOVE = "See [triggers](#triggers)."
"""Of settings that have no words of their own, because a formula says what they do."""


def reasons() -> str:
    """A row for each reason, with its layer and what people read of it in both languages."""
    rows = [
        (code(reason.name), code(reason.layer.value), REASON_WORDS[reason].text, REASON_WORDS[reason].text_zh)
        for reason in Reason
    ]
    return table(("reason", "layer", "meaning", "含义"), rows)


def settings() -> str:
    """A table for each section of a policy file, each section once."""
    parts = []
    for paths, model in sections():
        rows = [(*row[:3], row[3] or SEE_ABOVE) for row in rows_of(model)]
        parts.append(f"### {_title(paths)}\n\n{sentence(about(model))}\n\n{table(HEAD, rows)}")
    return "\n\n".join(parts)


def sections() -> list[tuple[list[str], type[BaseModel]]]:
    """Every section with all the keys that lead to it, in the order of the file."""
    found: dict[type[BaseModel], list[str]] = {}
    for path, model in _walk(Policy, ""):
        found.setdefault(model, []).extend([path] if path else [])
    return [(paths, model) for model, paths in found.items()]


def triggers() -> dict[str, type[BaseModel]]:
    """Name of each trigger -> the section with its settings."""
    (section,) = models_in(Policy.model_fields["triggers"].annotation)
    return {name: models_in(field.annotation)[0] for name, field in section.model_fields.items()}


def _title(paths: list[str]) -> str:
    if not paths:
        return "The file itself"
    if len(paths) > 4:  # the same of each trigger
        first, last = paths[0].partition(".")[0], paths[0].rpartition(".")[2]
        assert all(path.startswith(f"{first}.") and path.endswith(f".{last}") for path in paths)
        return f"`{last}` of each of `{first}`"
    return ", ".join(map(code, paths))


def _walk(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield from _walk(inner, ".".join(filter(None, (path, field.alias or name))))
