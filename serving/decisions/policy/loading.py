"""Reading a policy file: all that is wrong with it at once, each problem with file, line, key and rule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from features.files import AnyPath

from .marked_yaml import Document, Key, read_document
from .problems import BadPolicy, Problem
from .refused_values import Found, errors_in
from .schema import SCOPED_SECTIONS, Policy
from .suitability_pack import SuitabilityPack

POLICY_FILE = "policy.yaml"
"""The policy in use in a workspace."""

_HERE = Path(__file__).parent
_PACKS = _HERE / "packs"
_PACK = ("suitability", "pack")


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy and the files it was read from.

    Attributes
    ----------
    document : the policy file
    pack : the file of the suitability pack; that of the policy where the pack is written into it
    digest : 12 hexadecimal digits of the SHA-256 of both files: two policies of one name and version that differ in a
        byte differ in it
    """

    policy: Policy
    document: Document
    pack: Document
    digest: str

    @property
    def path(self) -> Path:
        """The policy file."""
        return self.document.path

    @property
    def name(self) -> str:
        """What a decision carries: ``name@version#digest``."""
        return f"{self.policy.name}#{self.digest}"

    @property
    def pack_beside(self) -> Path | None:
        """The file of a pack that is not shipped with the product; None: shipped, or written into the policy."""
        own = self.pack.path != self.path and self.pack.path.parent != _PACKS
        return self.pack.path if own else None

    def problem(self, key: Key, message: str, *, fails: bool = True) -> Problem:
        """A problem with what the policy says at `key`."""
        return _located(self.document, self.pack, tuple(key), message, fails=fails)


def load_policy(path: AnyPath) -> LoadedPolicy:
    """Read a policy and the suitability pack that it names.

    ``suitability.pack`` is the name of a shipped pack, the path of a file (from the policy's folder), or the pack.

    Raises
    ------
    BadPolicy : naming every problem with file, line, key and rule, one a line
    """
    return parse_policy(read_document(Path(path), "a policy"))


def parse_policy(document: Document) -> LoadedPolicy:
    """What `load_policy` does, of a file that has been read."""
    problems = list(document.duplicates)
    content = dict(document.content)
    pack: Document | None = document
    suitability = content.get("suitability")
    if isinstance(suitability, dict) and isinstance(suitability.get("pack"), str):
        try:
            pack = _read_pack(document, suitability["pack"])
        except BadPolicy as error:
            problems += error.problems
            pack = None
        else:
            problems += pack.duplicates
            content["suitability"] = {**suitability, "pack": pack.content}
    policy, found = _validated(content, document, pack)
    problems += [_located(document, pack or document, key, message) for key, message in found]
    if policy is None or pack is None or problems:
        raise BadPolicy(problems)
    content_of_pack = b"" if pack is document else pack.data
    digest = hashlib.sha256(document.data + b"\0" + content_of_pack).hexdigest()[:12]
    return LoadedPolicy(policy, document, pack, digest)


def standard_policy_path() -> Path:
    """The policy of a workspace without its own: cautious, and fit for any catalogue."""
    return _HERE / "policies" / "standard.yaml"


def demonstration_policy_path() -> Path:
    """The policy of the demonstration's bank: an example of everything that a policy can say."""
    return _HERE / "policies" / "demo.yaml"


def policy_path(workspace: Path) -> Path:
    """The policy in use in `workspace`: its own, else the standard one."""
    own = workspace / POLICY_FILE
    return own if own.is_file() else standard_policy_path()


def shipped_packs() -> tuple[str, ...]:
    """Names of the suitability packs that come with the product."""
    return tuple(sorted(path.stem for path in _PACKS.glob("*.yaml")))


def _read_pack(document: Document, name: str) -> Document:
    if name in shipped_packs():
        return read_document(_PACKS / f"{name}.yaml", "a suitability pack")
    path = document.path.parent / name
    if Path(name).suffix not in (".yaml", ".yml"):
        known = ", ".join(shipped_packs())
        message = f"no suitability pack {name!r} is shipped; there are: {known}; a file of your own ends in .yaml"
        raise BadPolicy([document.problem(_PACK, message)])
    if not path.is_file():
        raise BadPolicy([document.problem(_PACK, f"there is no file {path}: the path counts from the policy's folder")])
    return read_document(path, "a suitability pack")


def _located(
    document: Document, pack: Document, key: tuple[str | int, ...], message: str, *, fails: bool = True
) -> Problem:
    if pack is not document and key[:2] == _PACK and len(key) > 2:
        return pack.problem(key[2:], message, fails=fails)
    problem = document.problem(key, message, fails=fails)
    if pack is not document and key == _PACK:
        return replace(problem, message=f"{message} ({pack.path})")
    return problem


def _validated(content: dict[str, Any], document: Document, pack: Document | None) -> tuple[Policy | None, list[Found]]:
    """The policy, or what is wrong with it: first each value by itself, then what cannot hold together."""
    try:
        return Policy.model_validate(content), []
    except ValidationError as error:
        found = _errors(error, content, document, pack)
    bad = {(key[0], key[1]) for key, _ in found if len(key) > 1 and key[0] in _LISTS and isinstance(key[1], int)}
    if len({key[:2] for key, _ in found} - bad) or not bad:
        return None, found
    # only rules are wrong, and the others may contradict one another as well: say so now, not after the next try
    kept: dict[str, list[int]] = {}
    sound = dict(content)
    for section in {section for section, _ in bad}:
        kept[section] = [index for index in range(len(content[section])) if (section, index) not in bad]
        sound[section] = [content[section][index] for index in kept[section]]
    try:
        Policy.model_validate(sound)
    except ValidationError as error:
        for key, message in _errors(error, sound, document, pack):
            if key and key[0] in kept and len(key) > 1:
                key = (key[0], kept[str(key[0])][int(key[1])], *key[2:])
            found.append((key, message))
    return None, found


_LISTS = (*SCOPED_SECTIONS, "service_actions")


def _errors(error: ValidationError, content: dict[str, Any], document: Document, pack: Document | None) -> list[Found]:
    """What the schema refuses; of a pack that could not be read all is said already."""
    own: list[Found] = list(errors_in(error, document, Policy))
    if pack is document:
        return own
    others = [(key, message) for key, message in own if key[:2] != _PACK]
    return others if pack is None else others + _pack_errors(content, pack)


def _pack_errors(content: dict[str, Any], pack: Document) -> list[Found]:
    """What is wrong with a pack's file, in the words of that file."""
    try:
        SuitabilityPack.model_validate(content["suitability"]["pack"])
    except ValidationError as error:
        model: type[BaseModel] = SuitabilityPack
        return [((*_PACK, *key), message) for key, message in errors_in(error, pack, model)]
    return []
