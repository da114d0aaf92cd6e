"""Every command of ``nextproduct``, with its arguments and options, as the command itself knows them."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from serving.commands.main import app
from tests.documentation.markdown import code, sentence, table


def written() -> str:
    """The commands by their panels of ``--help``."""
    parts = []
    for panel, found in groupby(all_commands(), key=lambda each: each[0]):
        parts.append(f"## {panel}")
        for _, words, command in found:
            said = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
            parts.append(f"### `{usage(words, command)}`\n\n{said.replace('``', '`')}")
            if command.params:
                rows = [(code(name(each, command)), default_of(each), sentence(each.help)) for each in command.params]
                parts.append(table(("argument or option", "default", "what it is"), rows))
    return "\n\n".join(parts)


def all_commands() -> list[tuple[str, tuple[str, ...], Any]]:
    """Panel, words and definition of each command, panels in the order of ``--help``."""
    root = typer.main.get_command(app)
    found = [
        (str(command.rich_help_panel), *each)
        for name_, command in root.commands.items()
        for each in _within((name_,), command)
    ]
    panels = list(dict.fromkeys(panel for panel, _, _ in found))
    return sorted(found, key=lambda each: panels.index(each[0]))


def options() -> dict[tuple[str, ...], set[str]]:
    """Words of each command -> its options."""
    return {
        words: {spelling for each in command.params for spelling in (*each.opts, *each.secondary_opts)}
        for _, words, command in all_commands()
    }


def usage(words: tuple[str, ...], command: Any) -> str:
    """How it is called, without what may be left out."""
    needed = [name(each, command) for each in command.params if each.required or not _is_option(each)]
    return " ".join(("nextproduct", *words, *needed))


def name(parameter: Any, command: Any) -> str:
    """An argument or option of a command as one types it."""
    if not _is_option(parameter):
        shown = parameter.metavar or parameter.name.upper().rstrip("_")
        return str(shown) if parameter.required else f"[{shown}]"
    spelled = " / ".join((*parameter.opts, *parameter.secondary_opts))
    if getattr(parameter, "is_flag", False):
        return spelled
    return f"{spelled} {parameter.metavar or _value(parameter, command)}"


def _value(parameter: Any, command: Any) -> str:
    """What stands for an option's value."""
    hint = get_type_hints(command.callback)[parameter.name]
    for kind, word in ((Path, "PATH"), (datetime, "DAY"), (int, "N"), (float, "N")):
        if hint is kind or kind in get_args(hint):
            return word
    return str(parameter.name.upper())


def default_of(parameter: Any) -> str:
    """What counts where it is not given."""
    if parameter.required:
        return "needed"
    value = parameter.default
    if value is None or value is False:
        return ""
    if value is True and parameter.secondary_opts:
        return code(parameter.opts[0])
    return code(str(getattr(value, "value", value)))


def _within(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name_, inner in command.commands.items():
        yield from _within((*words, name_), inner)


def _is_option(parameter: Any) -> bool:
    return any(spelling.startswith("-") for spelling in parameter.opts)
