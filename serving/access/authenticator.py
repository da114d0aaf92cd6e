"""Who is calling? From the headers of a request to a principal, or a refusal."""

from __future__ import annotations

import logging
from pathlib import Path

from features.errors import BadConfiguration, BadInput

from .api_keys import ApiKeyVerifier
from .config import AccessConfig, is_address
from .demo_key import (
    BRANCH_CLAIM,
    DEMO_ALGORITHM,
    DEMO_ISSUER,
    DEMO_KEY_FILE,
    RM_CLAIM,
    ROLE_CLAIM,
    read_demo_keys,
)
from .errors import NotAuthenticated
from .key_set import KeySet, read_key_set
from .key_sources import FetchedKeys, FileKeys, KeySource
from .principal import Principal
from .tokens import TokenRules, TokenVerifier

_log = logging.getLogger(__name__)

_BEARER = "bearer "


class Authenticator:
    """Tells who sends a request, by a token or by an API key.

    To be made in the process that uses it, since keys at an address are fetched by a thread.
    """

    def __init__(
        self, source: KeySource, rules: TokenRules, api_keys: ApiKeyVerifier, *, has_issuer: bool = False
    ) -> None:
        self._source = source
        self._has_issuer = has_issuer
        self._tokens = TokenVerifier(source, rules)
        self._api_keys = api_keys

    @classmethod
    def of(cls, workspace: Path, config: AccessConfig) -> Authenticator:
        """The authenticator of a workspace.

        Tokens are verified with the keys that `config.jwks` names; without, with the demonstration's key, if there is
        one. Keys at an address are waited for 5 seconds or so; when they do not come, tokens are refused until they do.

        Raises
        ------
        BadConfiguration : when `config.jwks` names a file that is missing or is no JWKS
        BadInput : when the demonstration's key or the file of API keys cannot be read
        """
        api_keys = ApiKeyVerifier(workspace)
        if not config.jwks:
            return cls(FileKeys(workspace / DEMO_KEY_FILE, read_demo_keys), _demo_rules(config), api_keys)
        return cls(_configured_keys(workspace, config), _configured_rules(config), api_keys, has_issuer=True)

    @property
    def has_keys(self) -> bool:
        """Whether anybody can be known: `jwks` is configured, or there is a demonstration's key or one of a machine."""
        return self._has_issuer or bool(self._source.current()) or bool(self._api_keys)

    def authenticate(self, authorization: str | None, api_key: str | None) -> Principal:
        """Who sends a request with these headers; None: the header is not there.

        Why somebody was refused is logged at level info, without what they presented.

        Parameters
        ----------
        authorization : "Bearer TOKEN"
        api_key : of the header X-API-Key

        Raises
        ------
        NotAuthenticated : when it is nobody we know
        """
        try:
            return self._principal_of(authorization, api_key)
        except NotAuthenticated as refusal:
            _log.info("a caller was refused: %s", refusal.reason)
            raise

    def close(self) -> None:
        """Stop fetching keys."""
        self._source.close()

    def _principal_of(self, authorization: str | None, api_key: str | None) -> Principal:
        if authorization is None:
            if api_key is None:
                raise NotAuthenticated("neither a token nor a key was presented")
            return self._api_keys.principal_of(api_key)
        if api_key is not None:
            raise NotAuthenticated("both a token and a key were presented")
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise NotAuthenticated("the authorization is not a bearer's")
        return self._tokens.principal_of(authorization[len(_BEARER) :])


def _demo_rules(config: AccessConfig) -> TokenRules:
    return TokenRules(
        DEMO_ALGORITHM, DEMO_ISSUER, DEMO_ISSUER, config.leeway, config.max_token_seconds, ROLE_CLAIM, RM_CLAIM,
        BRANCH_CLAIM,
    )  # fmt: skip


def _configured_rules(config: AccessConfig) -> TokenRules:
    return TokenRules(
        config.algorithm,
        config.issuer,
        config.audience,
        config.leeway,
        config.max_token_seconds,
        config.role_claim,
        config.rm_claim,
        config.branch_claim,
    )


def _configured_keys(workspace: Path, config: AccessConfig) -> KeySource:
    def read(content: bytes) -> KeySet:
        return read_key_set(content, config.algorithm, config.jwks)

    if is_address(config.jwks):
        return FetchedKeys(config.jwks, read, every=config.jwks_seconds)
    path = workspace / config.jwks
    if not path.is_file():
        raise BadConfiguration(f"serving.access.jwks: there is no file {path}: name a JWKS file or an https address")
    try:
        return FileKeys(path, read)
    except BadInput as error:
        raise BadConfiguration(f"serving.access.jwks: {error}") from None
