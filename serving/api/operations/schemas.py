"""Health, what is in use, and changing it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..names import EntryId
from ..recommendations.schemas import DecisionVersions


class Health(BaseModel):
    """Whether the process lives."""

    status: str = Field(examples=["alive"])


class Readiness(BaseModel):
    """Whether customers can be answered, and with what."""

    status: str = Field(examples=["ready"])
    deployment: int = Field(description="Counts the changes of what is in use", examples=[3])
    versions: DecisionVersions
    warnings: list[str] = Field(description="What an operator should look at all the same", examples=[[]])


class ModelInUse(BaseModel):
    """The bundle in use."""

    version: str = Field(description="In the registry", examples=["3"])
    run_id: str = Field(description="MLflow run that made it")
    selected: str = Field(description="The model that serves", examples=["blend"])
    models: list[str] = Field(description="Models fitted in the run", examples=[["popularity", "propensity"]])
    weights: dict[str, float] = Field(description="Of the blend; empty where a single model serves")
    protocol: str = Field(description="How it was judged: periods, occasions or hide-one", examples=["periods"])
    horizon: int = Field(description="Periods within which an acquisition counts", examples=[1])
    trained_to: str = Field(description="Last day that training and validation saw", examples=["2026-03-31"])
    trained_from_states: str = Field(description="Build of the states it was trained from")
    features: int = Field(description="Columns of the states in use", examples=[287])
    seed: int
    versions: DecisionVersions


class PolicySection(BaseModel):
    """One section in words."""

    heading: str
    sentences: list[str]


class PolicyInUse(BaseModel):
    """The policy in use, in words and as it was written."""

    name: str = Field(description="Name, version and digest", examples=["demo@2026-07#0d1f6a3b9c2e"])
    owner: str
    words: list[PolicySection]
    document: str = Field(description="The file")
    suitability_pack: str = Field(description="The file of the pack; the same where it is written into the policy")
    versions: DecisionVersions


class SwapRequest(BaseModel):
    """What to put into use. What is not named stays; of an empty request, everything is what the workspace names
    now: the champion, the current states, `policy.yaml`."""

    model_config = ConfigDict(extra="forbid")

    model: EntryId | None = Field(default=None, description="A version in the registry, or champion", examples=["4"])
    states: EntryId | None = Field(default=None, description="A build, or current", examples=["current"])
    policy: EntryId | None = Field(default=None, description="A policy's digest, or current", examples=["current"])


class DeploymentAnswer(BaseModel):
    """What is in use from now on, in every worker."""

    number: int = Field(examples=[4])
    model: str = Field(description="Version in the registry", examples=["4"])
    states: str = Field(description="Build", examples=["2026-06-30-1f0c2ab39d7e"])
    policy: str = Field(description="Name, version and digest", examples=["demo@2026-07#0d1f6a3b9c2e"])
    at: str = Field(examples=["2026-07-01T08:30:00.000000+00:00"])
    by: str


class DecisionRecord(BaseModel):
    """A decision as it stands in the records."""

    seq: int = Field(description="Place in the chain")
    at: str = Field(description="When it was put on record, UTC")
    format: int = Field(default=1, description="Of what follows; missing in the first one")
    decision_id: str
    caller: dict[str, str] = Field(description="Who asked")
    request_id: str
    request: dict[str, Any] = Field(description="What was asked")
    day: str
    deployment: int
    software: str = Field(description="Version of the package and a digest of its sources")
    versions: DecisionVersions
    state: dict[str, Any] = Field(description="The customer as the decision saw it, and the events laid over")
    excluded: dict[str, list[str]] | None = Field(
        description="Every reason against each product, the first one first; null: withheld"
    )
    factors: dict[str, list[float | None]] | None = Field(
        description="Of every product, in the order of product ids; null: withheld"
    )
    exploration: None = Field(description="Nothing is shown at random")
    answer: dict[str, Any] = Field(description="What was answered")
    withheld: list[str] = Field(
        description="What is on record and not shown to the caller's role", examples=[["excluded", "state.age"]]
    )
