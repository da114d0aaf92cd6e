"""Making a policy the workspace's own, in one step and only when it is sound there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from features.errors import BadConfiguration
from features.files import written_aside
from features.states import current_states

from .check import check_policy
from .loading import POLICY_FILE, LoadedPolicy, load_policy
from .problems import Problem


def use_policy(path: Path, workspace: Path, today: date) -> tuple[LoadedPolicy, tuple[Problem, ...]]:
    """Copy the policy in `path`, with its suitability pack, into `workspace` and return it with its warnings.

    It is the workspace's own from then on, which goes into use as a deployment does. Readers see the policy before or
    this one, never part of one; whatever is refused leaves the one before as it was.

    Parameters
    ----------
    today : as of `check_policy`

    Raises
    ------
    BadPolicy : when it is not sound, by itself or for what the workspace's states know
    BadConfiguration : when its pack cannot come along
    """
    loaded = load_policy(path)
    warnings = check_policy(loaded, current_states(workspace), today)
    pack = _bring_pack(loaded, workspace)
    try:
        with written_aside(workspace / POLICY_FILE) as aside:
            aside.write_bytes(loaded.document.data)
            if load_policy(aside).digest != loaded.digest:
                raise BadConfiguration(f"{path} means something else from within {workspace}: nothing was changed")
    except BaseException:
        if pack is not None and not _is(workspace / POLICY_FILE, loaded.document.data):
            pack.unlink(missing_ok=True)
        raise
    return load_policy(workspace / POLICY_FILE), warnings


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _bring_pack(loaded: LoadedPolicy, workspace: Path) -> Path | None:
    """Copy the policy's own pack beside where the policy goes; the file that was made, None: none had to be.

    A pack keeps its name, since the policy's text names it, and never overwrites another: the policy in use, or one to
    go back to, may need that.
    """
    source = loaded.pack_beside
    if source is None:
        return None
    named = loaded.document.content["suitability"]["pack"]
    advice = "put the pack beside the policy and name it by its file name, or write it into the policy"
    if named != source.name:
        raise BadConfiguration(f"{loaded.path}: suitability.pack: {named} does not lie beside the policy: {advice}")
    target = workspace / source.name
    if source.name == POLICY_FILE:
        raise BadConfiguration(f"{loaded.path}: suitability.pack: {named} has the policy's own name: rename the pack")
    if _is(target, loaded.pack.data):
        return None
    if target.exists():
        raise BadConfiguration(
            f"{loaded.path}: suitability.pack: {target} is another pack, which a policy may need: give the new one a "
            "name of its own, such as its name with its year"
        )
    with written_aside(target) as aside:
        aside.write_bytes(loaded.pack.data)
    return target
