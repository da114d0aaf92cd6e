"""Model and policy in use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from features import feature_set_of

from ...decisions.policy.words import policy_words
from ...language import Language
from ..answers import json_response
from ..callers import SeeingVersions
from ..operations.schemas import ModelInUse, PolicyInUse
from ..problems import declared
from ..service import service_of

router = APIRouter(prefix="/v1", tags=["versions"])


@router.get(
    "/model", summary="The model in use", response_model=ModelInUse, responses=declared(401, 403, 422, 429, 503)
)
async def model(request: Request, principal: SeeingVersions) -> Response:
    """What serves, what it was trained from and until when."""
    service = service_of(request)
    deployment, engine = service.in_use.get()
    bundle, states = engine.bundle, engine.states
    manifest = bundle.manifest
    return json_response(
        {
            "version": deployment.model,
            "run_id": deployment.run_id,
            "selected": manifest.selected,
            "models": manifest.models,
            "weights": bundle.blend.weights if bundle.blend else {},
            "protocol": manifest.protocol,
            "horizon": manifest.horizon,
            "trained_to": states.calendar.end_of(manifest.trained_to),
            "trained_from_states": manifest.build_id,
            "features": len(feature_set_of(states).names),
            "seed": manifest.seed,
            "versions": engine.versions.to_dict(),
        }
    )


@router.get(
    "/policy", summary="The policy in use", response_model=PolicyInUse, responses=declared(401, 403, 422, 429, 503)
)
async def policy(
    request: Request,
    principal: SeeingVersions,
    language: Annotated[Language, Query(description="Of the words")] = Language.EN,
) -> Response:
    """The rules in words, and the files they were read from."""
    service = service_of(request)
    _, engine = service.in_use.get()
    loaded = engine.policy
    words = policy_words(loaded.policy, language, engine.states.catalogue)
    return json_response(
        {
            "name": loaded.name,
            "owner": loaded.policy.owner,
            "words": [{"heading": heading, "sentences": sentences} for heading, sentences in words],
            "document": loaded.document.data.decode(),
            "suitability_pack": loaded.pack.data.decode(),
            "versions": engine.versions.to_dict(),
        }
    )
