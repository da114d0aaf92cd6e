"""Settings that would let the wrong people in are refused."""

import pytest
from pydantic import ValidationError

from features.errors import BadConfiguration
from serving.access import AccessConfig, Role
from serving.config_file import read_section

WHOSE = {"issuer": "https://login.bank.example", "audience": "nextproduct"}


def refused(**settings):
    with pytest.raises(ValidationError) as caught:
        AccessConfig(**settings)
    return str(caught.value)


@pytest.mark.parametrize(
    "jwks",
    [
        "keys.json",
        "/etc/keys/jwks.json",
        "https://login.bank.example/keys",
        "https://login.bank.example:8443/keys?tenant=1",
        "http://127.0.0.1:9000/keys",
        "http://127.8.0.1/keys",
        "http://localhost/keys",
        "http://[::1]:9000/keys",
    ],
)
def test_keys_come_from_a_file_or_a_safe_address(jwks):
    assert AccessConfig(jwks=jwks, **WHOSE).jwks == jwks


@pytest.mark.parametrize(
    ("jwks", "said"),
    [
        ("http://login.bank.example/keys", "give an https address"),
        ("http://localhost.bank.example/keys", "give an https address"),
        ("http://127.0.0.1.bank.example/keys", "give an https address"),
        ("HTTP://10.0.0.1/keys", "give an https address"),
        ("ftp://127.0.0.1/keys", "give a file or an https address"),
        ("file:///etc/keys.json", "give a file or an https address"),
        ("https:///keys", "give a file or an https address"),
        ("https://user:secret@login.bank.example/keys", "may not carry a user and a password"),
        ("https://login.bank.example:port/keys", "Port could not be cast"),
        ("https://[::1/keys", "Invalid IPv6"),
    ],
)
def test_other_addresses_are_refused(jwks, said):
    assert said in refused(jwks=jwks, **WHOSE)


@pytest.mark.parametrize("missing", ["issuer", "audience"])
def test_keys_without_issuer_or_audience_are_refused(missing):
    assert "jwks needs issuer and audience" in refused(jwks="keys.json", **(WHOSE | {missing: ""}))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "RS512", ""])
def test_only_sound_algorithms_can_be_pinned(algorithm):
    assert "algorithm" in refused(algorithm=algorithm)


@pytest.mark.parametrize(
    "settings",
    [
        {"leeway": -1},
        {"leeway": 301},
        {"leeway": float("nan")},
        {"jwks_seconds": 0},
        {"requests_per_second": 0},
        {"requests_per_second": float("inf")},
        {"burst": 0},
        {"requests_per_second_of": {"rm": 0}},
        {"requests_per_second_of": {"rm": -1}},
        {"requests_per_second_of": {"teller": 5}},
        {"role_claim": ""},
        {"unknown": 1},
    ],
)
def test_impossible_values_are_refused(settings):
    assert next(iter(settings)) in refused(**settings)


@pytest.mark.parametrize(
    "origin", ["*", "crm.bank.example", "https://crm.bank.example/", "https://", "null", "ftp://a"]
)
def test_an_origin_is_scheme_and_host(origin):
    assert "cors_origins" in refused(cors_origins=[origin])


def test_origins_are_taken():
    origins = ("https://crm.bank.example", "http://localhost:5173")
    assert AccessConfig(cors_origins=origins).cors_origins == origins


def test_it_is_frozen():
    with pytest.raises(ValidationError):
        AccessConfig().issuer = "another"


def test_it_reads_from_a_file(tmp_path):
    path = tmp_path / "nextproduct.toml"
    path.write_text("[serving]\nrequests_per_second_of = {rm = 5, analyst = 0.5}\n", encoding="utf-8")
    assert read_section(path, "serving", AccessConfig).requests_per_second_of == {Role.RM: 5.0, Role.ANALYST: 0.5}
    path.write_text('[serving]\njwks = "keys.json"\n', encoding="utf-8")
    with pytest.raises(BadConfiguration, match="jwks needs issuer and audience"):
        read_section(path, "serving", AccessConfig)
