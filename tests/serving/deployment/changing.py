"""What tests of deployments do to a workspace."""

from pathlib import Path

from serving import deployment
from serving.decisions.policy.loading import POLICY_FILE, load_policy
from serving.deployment import Deployment, Follower, changes
from tests.serving.later import CLOCK
from training.tracking import Tracking


def edit_policy(workspace: Path, note: str) -> None:
    """Another policy, of the same rules."""
    path = workspace / POLICY_FILE
    path.write_text(f"{path.read_text(encoding='utf-8')}# {note}\n", encoding="utf-8")


def bring_pack(workspace: Path, name: str = "our-pack.yaml") -> Path:
    """Let the policy have its suitability pack in a file of its own."""
    path, pack = workspace / POLICY_FILE, workspace / name
    pack.parent.mkdir(exist_ok=True)
    pack.write_bytes(load_policy(path).pack.data)
    text = path.read_text(encoding="utf-8")
    assert "pack: china" in text
    path.write_text(text.replace("pack: china", f"pack: {name}"), encoding="utf-8")
    return pack


def break_policy(workspace: Path) -> None:
    edit_policy(workspace, "broken\nno_such_section: 1")


def flip_a_byte(workspace: Path, number: str) -> Path:
    """In a file of the bundle of a version."""
    path = Tracking(workspace).numbered(number).folder / "fallback.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return path


def made_of(deployment: Deployment) -> tuple[str, str, str]:
    return deployment.model, deployment.states, deployment.policy_digest


def _nowhere(_: Deployment) -> None:
    """Records of tests that look at deployments alone."""


def deploy(workspace, **changed):
    return deployment.deploy(workspace, None, CLOCK, **{"intend": _nowhere, **changed})


def roll_back(workspace, **asked):
    return deployment.roll_back(workspace, None, CLOCK, **{"intend": _nowhere, **asked})


def take_up(workspace, intend=_nowhere, may_use=None):
    return changes.take_up(workspace, None, CLOCK, intend, may_use)


def open_deployment(workspace, made, share=None):
    return deployment.open_deployment(workspace, made, None, CLOCK, share)


def open_versions(workspace, versions):
    return deployment.open_versions(workspace, None, CLOCK, versions)


def follower(workspace):
    return Follower(workspace, None, CLOCK, _nowhere)
