"""Which keys of a published set are used."""

import json
import logging

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from features.errors import BadInput
from serving.access.key_set import KeySet, read_key_set
from tests.serving.access.issuers import Issuer, fuzzed, rsa_key

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


def keys_of(*entries, algorithm="ES256"):
    return read_key_set(json.dumps({"keys": entries}).encode(), algorithm, "keys.json")


@pytest.fixture(scope="module")
def everybody():
    """One key of each kind, each under the name of an algorithm that it is for."""
    return {name: Issuer(name, kid=name).jwk() for name in ("RS256", "ES256", "ES384", "ES256K", "EdDSA")}


class TestKinds:
    @pytest.mark.parametrize(
        ("algorithm", "used"), [("RS256", "RS256"), ("PS256", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA")]
    )
    def test_only_keys_of_the_algorithm_are_used(self, everybody, algorithm, used):
        keys = keys_of(*everybody.values(), algorithm=algorithm)
        assert list(keys.by_id) == [used]
        assert keys.key_for(used) is keys.key_for(None) is keys.only

    def test_other_curves_and_secrets_are_not(self):
        ed448_key = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)
        assert not keys_of(ed448_key, algorithm="EdDSA")
        assert not keys_of({"kty": "oct", "k": "c2VjcmV0", "alg": "ES256"}, algorithm="ES256")

    def test_a_short_rsa_key_is_not_used(self, caplog):
        assert not keys_of(Issuer("RS256", key=rsa_key("short", bits=1024)).jwk(), algorithm="RS256")
        assert "fewer than 2048 bits" in caplog.text

    @pytest.mark.parametrize(
        "also",
        [{"use": "enc"}, {"alg": "ES384"}, {"key_ops": ["sign"]}, {"key_ops": "verify"}, {"kid": 7}, {"x": "AA"}],
    )
    def test_keys_for_something_else_are_left_out(self, also):
        assert not keys_of(Issuer().jwk(**also))

    @pytest.mark.parametrize("also", [{"use": "sig"}, {"alg": "ES256"}, {"key_ops": ["verify"]}, {"x5t": "unknown"}])
    def test_what_says_that_it_fits_does(self, also):
        assert list(keys_of(Issuer().jwk(**also)).by_id) == ["k1"]

    def test_a_published_private_key_is_not_used(self):
        key = ec.generate_private_key(ec.SECP256R1())
        assert not keys_of(ECAlgorithm.to_jwk(key, as_dict=True) | {"kid": "k1"})

    def test_none_at_all_is_said(self, caplog, everybody):
        assert not keys_of(everybody["ES256"], algorithm="RS256")
        assert "keys.json has no public key for signatures by RS256 among its 1 keys" in caplog.text


class TestIds:
    def test_each_key_has_its_own(self):
        first, second = Issuer(kid="a"), Issuer(kid="b")
        keys = keys_of(first.jwk(), second.jwk())
        assert keys.key_for("a").key.public_numbers() == first.key.public_key().public_numbers()
        assert keys.key_for("b").key.public_numbers() == second.key.public_key().public_numbers()
        assert keys.key_for("c") is None

    def test_of_several_keys_none_is_the_one_meant(self):
        assert keys_of(Issuer(kid="a").jwk(), Issuer(kid="b").jwk()).key_for(None) is None

    def test_a_key_without_id_serves_tokens_without_one(self):
        keys = keys_of(Issuer(kid=None).jwk())
        assert keys.key_for(None) is keys.only
        assert keys.key_for("k1") is None

    def test_an_id_of_two_keys_is_the_id_of_none(self, caplog):
        keys = keys_of(Issuer(kid="a").jwk(), Issuer(kid="a").jwk(), Issuer(kid="b").jwk())
        assert list(keys.by_id) == ["b"]
        assert keys.key_for(None) is None
        assert "has 2 keys with the id 'a': none of them is used" in caplog.text

    def test_the_same_key_twice_is_one_key(self):
        key = Issuer(kid="a").jwk()
        keys = keys_of(key, key)
        assert list(keys.by_id) == ["a"]
        assert keys.only is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "has no list 'keys'"),
        (b"{}", "has no list 'keys'"),
        (b'{"keys": {}}', "has no list 'keys'"),
    ],
)
def test_what_is_no_key_set_is_refused(content, said):
    with pytest.raises(BadInput, match=rf"keys\.json {said}.*a JWKS is expected"):
        read_key_set(content, "ES256", "keys.json")


def test_an_empty_set_has_no_keys():
    keys = keys_of()
    assert keys == KeySet()
    assert not keys


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["AQAB", "P-256"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)
members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops", "d", "x5c"])


@fuzzed
@given(
    base=st.sampled_from(ALGORITHMS),
    algorithm=st.sampled_from(ALGORITHMS),
    changes=st.dictionaries(members, json_values),
)
def test_whatever_an_entry_says_the_others_are_read(base, algorithm, changes):
    logging.disable()
    entries = [Issuer(base).jwk() | changes, Issuer(algorithm, kid="sound").jwk(), "text", None]
    try:
        keys = keys_of(*entries, algorithm=algorithm)
    finally:
        logging.disable(logging.NOTSET)
    if changes.get("kid") != "sound":
        assert keys.key_for("sound") is not None
