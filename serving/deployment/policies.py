"""Policies kept by digest, so that one can be gone back to, and a decision made again, after another came into use."""

from __future__ import annotations

import shutil
from pathlib import Path

from features.errors import BadConfiguration, BadInput, NotFound
from features.files import put_in_place

from ..decisions.policy.loading import POLICY_FILE, LoadedPolicy, load_policy

POLICIES = "policies"


def archive(workspace: Path, policy: LoadedPolicy) -> None:
    """Keep `policy`, with its suitability pack where that is a file of its own. To be called by the only deployer.

    Raises
    ------
    BadConfiguration : when the pack lies elsewhere than beside the policy
    BadInput : when what was kept under its digest has been changed
    """
    files = {POLICY_FILE: policy.document.data}
    pack = policy.pack_beside
    if pack is not None:
        named = policy.document.content["suitability"]["pack"]
        if named != pack.name:
            raise BadConfiguration(
                f"{policy.path}: suitability.pack: {named} does not lie beside the policy: put the pack there and name "
                "it by its file name, or write it into the policy"
            )
        files[pack.name] = policy.pack.data
    folder = workspace / POLICIES / policy.digest
    if folder.is_dir():
        for name, content in files.items():
            if not (folder / name).is_file() or (folder / name).read_bytes() != content:
                raise BadInput(f"{folder / name} is not what was kept there: move {folder} away and ask again")
        return
    aside = folder.with_name(".new")
    if aside.is_dir():  # of one that was killed
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    for name, content in files.items():
        (aside / name).write_bytes(content)
    put_in_place(aside, folder)


def archived(workspace: Path, digest: str) -> LoadedPolicy:
    """The policy of that digest.

    Raises
    ------
    NotFound : when it was never kept
    BadInput : when it is not what was kept
    """
    if digest not in archived_digests(workspace):
        known = ", ".join(archived_digests(workspace)) or "none"
        raise NotFound(f"no policy of digest {digest} was in use in {workspace}; there are: {known}")
    policy = load_policy(workspace / POLICIES / digest / POLICY_FILE)
    if policy.digest != digest:
        raise BadInput(
            f"{policy.path}: the policy, or the suitability pack that it names, is not the one that was kept: its "
            f"digest is {policy.digest} now"
        )
    return policy


def archived_digests(workspace: Path) -> tuple[str, ...]:
    """Digests of the policies kept."""
    return tuple(sorted(path.parent.name for path in (workspace / POLICIES).glob(f"[!.]*/{POLICY_FILE}")))
