"""Keys for machines: made and revoked by a command, kept as hashes, presented as `X-API-Key: np_ID_SECRET`."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import BadInput, NotFound
from features.files import only_writer_of, replace_file

from .config import AccessConfig
from .errors import NotAuthenticated
from .principal import Principal, check_name
from .roles import Role
from .watched_file import WatchedFile

_log = logging.getLogger(__name__)

API_KEYS_FILE = "api-keys.json"
USUAL_DAYS = 90
"""Days that a key lasts when nobody says otherwise."""
LONGEST_DAYS = AccessConfig().max_key_days
"""Days that a key may last unless the settings say otherwise."""

_ID_BYTES = 6
_SECRET_BYTES = 32
_PRESENTED = re.compile(rf"np_([0-9a-f]{{{2 * _ID_BYTES}}})_([0-9a-f]{{{2 * _SECRET_BYTES}}})")


class ApiKey(BaseModel):
    """What is kept of a key: everything but its secret.

    The secret has 256 random bits, so that nobody finds it by trying: a fast hash protects it as well as a slow one
    would, and every request pays for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=rf"^[0-9a-f]{{{2 * _ID_BYTES}}}$")
    """Part of the key, and no secret: decisions on record name a machine `key:ID`."""
    name: str
    """Whose it is, for people to read."""
    role: Role
    rm_id: str | None = None
    branch_id: str | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """Of the secret."""
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    """None: it was made when keys needed no end; none is made so any more."""
    revoked_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _check(self) -> ApiKey:
        try:
            check_name("name", self.name)
            self.principal()
        except BadInput as error:
            raise ValueError(str(error)) from None
        return self

    def principal(self) -> Principal:
        """Who presents it."""
        return Principal(f"key:{self.id}", self.role, self.rm_id, self.branch_id, how="api_key")

    def state(self, now: datetime) -> str:
        """ "active", "expired" or "revoked"."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def create_api_key(
    workspace: Path,
    name: str,
    role: Role,
    rm_id: str | None = None,
    branch_id: str | None = None,
    days: int = USUAL_DAYS,
    longest: int = LONGEST_DAYS,
) -> str:
    """Make a key and return it as it is presented: it cannot be shown again.

    Parameters
    ----------
    days : until it expires, from 1
    longest : days at most, as the service's settings have it

    Raises
    ------
    NotFound : when there is no such workspace
    BadInput : when role and ids do not fit, or the file of keys cannot be read
    """
    if not 1 <= days <= longest:
        raise BadInput(f"a key lasts 1 to {longest} days, not {days}")
    check_name("name", name)
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    Principal(f"key:{key_id}", role, rm_id, branch_id, how="api_key")
    now = _now()
    key = ApiKey(
        id=key_id,
        name=name,
        role=role,
        rm_id=rm_id,
        branch_id=branch_id,
        sha256=_hash(secret).hex(),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    path = workspace / API_KEYS_FILE
    with only_writer_of(path):
        _write(path, (*_read(path), key))
    return f"np_{key_id}_{secret}"


def list_api_keys(workspace: Path) -> tuple[ApiKey, ...]:
    """All keys ever made, the oldest first, revoked and expired ones too.

    Raises
    ------
    BadInput : when the file of keys cannot be read
    """
    return _read(workspace / API_KEYS_FILE)


def revoke_api_key(workspace: Path, key_id: str) -> ApiKey:
    """Have a key refused from now on, by a running service within a second; what is kept of it stays readable.

    Raises
    ------
    NotFound : when there is no such key or workspace
    BadInput : when the file of keys cannot be read
    """
    path = workspace / API_KEYS_FILE
    with only_writer_of(path):
        keys = {key.id: key for key in _read(path)}
        if key_id not in keys:
            raise NotFound(f"{workspace} has no key with the id {key_id!r}: `nextproduct key list` shows all")
        if keys[key_id].revoked_at is None:
            keys[key_id] = keys[key_id].model_copy(update={"revoked_at": _now()})
            _write(path, tuple(keys.values()))
        return keys[key_id]


@dataclass(frozen=True)
class _Usable:
    """What a presented key is held against."""

    digest: bytes
    expires: float
    principal: Principal


class ApiKeyVerifier:
    """Verifies keys that are presented, against the workspace's file as it is, or was a second ago.

    A file that cannot be read lets nobody in: who was revoked in it cannot be told.

    Raises
    ------
    BadInput : when the file is there and cannot be read
    """

    def __init__(self, workspace: Path) -> None:
        self._file = WatchedFile(workspace / API_KEYS_FILE)
        self._file.has_changed()
        self._usable: Mapping[str, _Usable] = self._read_file()

    def __bool__(self) -> bool:
        """Whether there is any key that is not revoked."""
        return bool(self._current())

    def principal_of(self, presented: str) -> Principal:
        """Whose key it is.

        Raises
        ------
        NotAuthenticated : when it is unknown, revoked, expired or no key at all
        """
        match = _PRESENTED.fullmatch(presented)
        if match is None:
            raise NotAuthenticated("the key is not of the form np_ID_SECRET")
        found = self._current().get(match[1])
        if found is None:
            raise NotAuthenticated("the key is not known, or revoked")
        if not hmac.compare_digest(found.digest, _hash(match[2])):
            raise NotAuthenticated("the key's secret is wrong")
        if found.expires <= time.time():
            raise NotAuthenticated("the key has expired")
        return found.principal

    def _current(self) -> Mapping[str, _Usable]:
        if self._file.has_changed():
            try:
                self._usable = self._read_file()
            except BadInput as error:
                self._usable = {}
                _log.error("no API key is accepted: %s", error)
        return self._usable

    def _read_file(self) -> Mapping[str, _Usable]:
        keys = _read(self._file.path)
        endless = [key.id for key in keys if key.revoked_at is None and key.expires_at is None]
        if endless:
            _log.warning(
                "API keys without expiry are accepted, made before keys had to have one: replace %s", ", ".join(endless)
            )
        return {
            key.id: _Usable(
                bytes.fromhex(key.sha256),
                float("inf") if key.expires_at is None else key.expires_at.timestamp(),
                key.principal(),
            )
            for key in keys
            if key.revoked_at is None
        }


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[ApiKey, ...]


def _read(path: Path) -> tuple[ApiKey, ...]:
    advice = "restore it, or remove it and make new keys with `nextproduct key create`"
    try:
        keys = _File.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise BadInput(f"{path}: {where}: {problem['msg']}: {advice}") from None
    if len({key.id for key in keys}) < len(keys):
        raise BadInput(f"{path}: two keys have the same id: {advice}")
    return keys


def _write(path: Path, keys: tuple[ApiKey, ...]) -> None:
    replace_file(path, _File(keys=keys).model_dump_json(indent=1).encode(), private=True)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
