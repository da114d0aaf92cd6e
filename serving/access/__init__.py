"""Who may see what: whoever calls the service is known by a token or a key, has a role, and sees their own customers.

Names are loaded on first use: the command line shows the roles in its help without paying for cryptography.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api_keys import ApiKey, create_api_key, list_api_keys, revoke_api_key
    from .authenticator import Authenticator
    from .config import AccessConfig
    from .demo_key import create_demo_key, issue_demo_token
    from .errors import NotAllowed, NotAuthenticated
    from .principal import Principal
    from .rate_limiter import RateLimiter
    from .roles import PERMISSIONS_OF, Permission, Role

_MODULES = {
    "api_keys": ("ApiKey", "create_api_key", "list_api_keys", "revoke_api_key"),
    "authenticator": ("Authenticator",),
    "config": ("AccessConfig",),
    "demo_key": ("create_demo_key", "issue_demo_token"),
    "errors": ("NotAllowed", "NotAuthenticated"),
    "principal": ("Principal",),
    "rate_limiter": ("RateLimiter",),
    "roles": ("PERMISSIONS_OF", "Permission", "Role"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "PERMISSIONS_OF",
    "AccessConfig",
    "ApiKey",
    "Authenticator",
    "NotAllowed",
    "NotAuthenticated",
    "Permission",
    "Principal",
    "RateLimiter",
    "Role",
    "create_api_key",
    "create_demo_key",
    "issue_demo_token",
    "list_api_keys",
    "revoke_api_key",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
