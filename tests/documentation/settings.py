"""Settings as pages show them: name, default, what may be given and what it does, from the models that read them."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from datetime import date
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.documentation.markdown import code, sentence, table
from tests.test_packaging import MODELS

HEAD = ("setting", "default", "may be", "what it does")


def of_the_configuration() -> str:
    """Every section of ``nextproduct.toml``, those within others after them."""
    parts = []
    for name, model in MODELS.items():
        for path, section in sections(model, name):
            rows = rows_of(section, shown=lambda field: not models_in(field.annotation))
            parts.append(f"## `[{path}]`\n\n{sentence(about(section))}\n\n{table(HEAD, rows)}")
    return "\n\n".join(parts)


def sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and the models within, each with the keys that lead to it."""
    yield path, model
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield from sections(inner, f"{path}.{name}")


def rows_of(model: type[BaseModel], shown: Any = lambda field: True) -> list[tuple[str, str, str, str]]:
    """A row for each field of a model."""
    said = docstrings(model)
    return [
        (code(field.alias or name), default_of(field), allowed(field), meaning(field, said.get(name, "")))
        for name, field in model.model_fields.items()
        if shown(field)
    ]


def meaning(field: FieldInfo, said: str) -> str:
    """What a field's own docstring says, or that of the section it holds."""
    said = said or " ".join(about(model) for model in models_in(field.annotation))
    return sentence(said) if said else ""


def about(model: type[BaseModel]) -> str:
    """The first paragraph of a model's docstring."""
    return (inspect.getdoc(model) or "").partition("\n\n")[0]


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the text that stands below it in the source, of the model and those that it inherits from."""
    found: dict[str, str] = {}
    for class_ in reversed(model.__mro__):
        if not issubclass(class_, BaseModel) or class_ is BaseModel:
            continue
        try:
            source = textwrap.dedent(inspect.getsource(class_))
        except (OSError, TypeError):  # made by a call: its fields may carry a description
            found |= {name: field.description for name, field in class_.model_fields.items() if field.description}
            continue
        (tree,) = ast.parse(source).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(text):
                found[field.target.id] = text.value.value
    return found


def default_of(field: FieldInfo) -> str:
    """The default as it would be written in the file."""
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "as below"
    return code(json.dumps(value, ensure_ascii=False, default=str))


def allowed(field: FieldInfo) -> str:
    """What may be given, in words."""
    return ", ".join(filter(None, (_type(field.annotation), _bounds(field.metadata))))


def _type(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return ", ".join(filter(None, (_type(arguments[0]), _bounds(arguments[1:]))))
    if origin is Literal:
        return " or ".join(code(str(each)) for each in arguments)
    if origin in (Union, UnionType):
        words = [_type(each) for each in arguments if each is not type(None)]
        return " or ".join([*words, *["none"] * (type(None) in arguments)])
    if origin is tuple:
        each = _several(arguments[0])
        return f"a list of {each}" if Ellipsis in arguments else f"a list of {len(arguments)} {each}"
    if origin is dict:
        return f"by {_name(arguments[0])}: {_type(arguments[1])}"
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return "a section"
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return " or ".join(code(str(each.value)) for each in kind)
    return _PLAIN[kind]


def _several(kind: Any) -> str:
    """Of a list, what it holds."""
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return "sections"
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(kind) or _type(kind)


_PLAIN: dict[Any, str] = {
    bool: "`true` or `false`", int: "a whole number", float: "a number", str: "text", date: "a day",
}  # fmt: skip


def _name(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _name(get_args(kind)[0])
    return "name" if kind is str else _type(kind)


def _bounds(metadata: Any) -> str:
    words = []
    for each in metadata:
        for type_, name, says in (
            (Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"),
        ):  # fmt: skip
            if isinstance(each, type_):
                words.append(f"{says} {getattr(each, name):g}")
        if isinstance(each, MaxLen) and each.max_length < 80:
            words.append(f"{each.max_length} at most")
        if isinstance(each, MinLen):
            words.append("not empty")
    return ", ".join(words)


def models_in(kind: Any) -> list[type[BaseModel]]:
    """The sections that a field of this type holds."""
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return [kind]
    return [model for argument in get_args(kind) for model in models_in(argument)]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
