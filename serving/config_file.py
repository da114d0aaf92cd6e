"""The configuration file: TOML or YAML, one section a job, every value defaulted, unknown keys refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from features.clock import BankConfig, Clock
from features.errors import BadConfiguration

CONFIG_FILE = "nextproduct.toml"
"""Looked for in the workspace when no file is named."""

SECTIONS = ("bank", "build", "training", "evaluation", "tuning", "serving")
"""What there may be settings of: one model of them each, in whichever room they are of."""

Config = TypeVar("Config", bound=BaseModel)


def read_section(path: Path | None, section: str, model: type[Config]) -> Config:
    """The settings of one job.

    Parameters
    ----------
    path : a .toml, .yaml or .yml file; None: all defaults

    Raises
    ------
    BadConfiguration : naming the file, the key and what is wrong with it
    """
    if path is None:
        return model()
    content = _read(path)
    unknown = sorted(set(content) - set(SECTIONS))
    if unknown:
        raise BadConfiguration(f"{path}: no section is called {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    try:
        return model.model_validate(content.get(section, {}))
    except ValidationError as error:
        problems = "; ".join(
            f"{section}.{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise BadConfiguration(f"{path}: {problems}") from None


def clock_of(path: Path | None) -> Clock:
    """The clock of the bank that a configuration file describes; None: all defaults.

    Raises
    ------
    BadConfiguration : when its section ``bank`` is not right
    """
    return Clock.of(read_section(path, "bank", BankConfig))


def config_path(named: Path | None, workspace: Path | None) -> Path | None:
    """The file named, else the workspace's own, else none.

    Raises
    ------
    BadConfiguration : when the file named does not exist
    """
    if named is not None:
        if not named.is_file():
            raise BadConfiguration(f"there is no configuration file {named}")
        return named
    own = workspace / CONFIG_FILE if workspace else None
    return own if own and own.is_file() else None


def file_to_change(named: Path | None, workspace: Path) -> Path:
    """The file that settings of `workspace` are written to: the one in use, else the workspace's own, not there yet.

    Raises
    ------
    BadConfiguration : when the one in use is not TOML
    """
    path = named or workspace / CONFIG_FILE
    if path.suffix != ".toml":
        raise BadConfiguration(
            f"{path} is not a TOML file, and only those can be changed here: put settings in by hand"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise BadConfiguration(f"{path} cannot be read: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadConfiguration(f"{path}: expected sections such as [training], found {type(content).__name__}")
    return content
