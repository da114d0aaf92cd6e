"""Every way known to get in with a token that is not one; what is verified, remembered, and forgotten."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given
from hypothesis import strategies as st

from serving.access import NotAuthenticated, Principal, Role, tokens
from serving.access.key_set import KeySet, read_key_set
from serving.access.tokens import TokenRules, TokenVerifier
from tests.serving.access.issuers import (
    AUDIENCE,
    ISSUER,
    LEFT_OUT,
    Issuer,
    base64url,
    claims,
    fuzzed,
    key_set,
    part,
    rsa_key,
    signed,
)

RM = Principal("li.wei", Role.RM, "RM01", None, how="token")


class Keys:
    """A source whose keys a test changes."""

    def __init__(self, *issuers, algorithm="ES256"):
        self.wanted = 0
        self.publish(*issuers, algorithm=algorithm)

    def publish(self, *issuers, algorithm="ES256"):
        self._keys = read_key_set(key_set(*issuers), algorithm, "keys.json")

    def current(self):
        return self._keys

    def want_unknown(self):
        self.wanted += 1

    def close(self):
        pass


def rules(algorithm="ES256", **changes):
    usual = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "leeway": 30.0,
        "longest_life": 43_200,
        "role_claim": "role",
        "rm_claim": "rm_id",
        "branch_claim": "branch_id",
    }
    return TokenRules(algorithm, **(usual | changes))


def verifier(*issuers, algorithm="ES256", **changes):
    return TokenVerifier(Keys(*issuers, algorithm=algorithm), rules(algorithm, **changes))


OURS = Issuer()
STRANGER = Issuer()  # the same algorithm, the same key id, another key
VERIFIER = verifier(OURS)


def reason_of(token, by=VERIFIER):
    with pytest.raises(NotAuthenticated) as caught:
        by.principal_of(token)
    assert str(caught.value) == str(NotAuthenticated("whatever"))
    return caught.value.reason


class TestSound:
    @pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
    def test_each_algorithm(self, algorithm):
        issuer = Issuer(algorithm)
        assert verifier(issuer, algorithm=algorithm).principal_of(issuer.token()) == RM

    def test_as_the_library_itself_signs(self):
        token = jwt.encode(claims(), OURS.key, "ES256", headers={"kid": "k1"})
        assert VERIFIER.principal_of(token) == RM

    def test_all_roles(self):
        for role in Role:
            found = VERIFIER.principal_of(OURS.token(role=role.value, branch_id="B1"))
            assert found == Principal("li.wei", role, "RM01", "B1", how="token")

    def test_claims_may_have_other_names(self):
        named = verifier(OURS, role_claim="https://bank/role", rm_claim="employee", branch_claim="office")
        token = OURS.token(role="administrator", **{"https://bank/role": "rm", "employee": "RM09", "office": "B7"})
        assert named.principal_of(token) == Principal("li.wei", Role.RM, "RM09", "B7", how="token")

    def test_one_of_several_audiences_is_ours(self):
        assert VERIFIER.principal_of(OURS.token(aud=["crm", AUDIENCE])) == RM

    def test_clocks_may_differ_by_the_leeway(self):
        now = int(time.time())
        for change in ({"exp": now - 25}, {"nbf": now + 25}, {"iat": now + 25}):
            assert VERIFIER.principal_of(OURS.token(**change)) == RM

    def test_the_only_key_needs_no_name(self):
        nameless = Issuer(kid=None)
        assert verifier(nameless).principal_of(nameless.token()) == RM


class TestForged:
    """Whoever signs these does not have our issuer's key."""

    def test_by_a_stranger_under_our_key_id(self):
        assert reason_of(STRANGER.token()) == "the token's signature is wrong"

    @pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
    def test_by_nobody(self, name):
        message = f"{part(OURS.header(alg=name))}.{part(claims())}"
        assert "form" in reason_of(f"{message}.")
        assert "another algorithm" in reason_of(f"{message}.{part(b'x' * 64)}")

    def test_with_the_public_key_as_a_secret(self):
        """The classic: an HMAC keyed with what everybody can download."""
        public = OURS.key.public_key()
        secrets = [
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
            json.dumps(OURS.jwk()).encode(),
        ]
        for secret in secrets:
            for said in ("HS256", "ES256"):
                message = f"{part(OURS.header(alg=said))}.{part(claims())}"
                signature = hmac.new(secret, message.encode(), hashlib.sha256).digest()
                reason_of(f"{message}.{base64url(signature)}")

    @pytest.mark.parametrize("algorithm", ["RS256", "ES384", "ES256K", "EdDSA"])
    def test_by_another_algorithm(self, algorithm):
        other = Issuer(algorithm)
        assert "another algorithm" in reason_of(other.token())
        reason_of(other.token(header={"alg": "ES256"}))
        # nor does it help that its key is published: it is of another kind
        assert "key that is not known" in reason_of(other.token(header={"alg": "ES256"}), verifier(other))

    def test_by_another_padding_of_the_same_key(self):
        """RS256 and PS256 share keys: only what is pinned counts."""
        issuer = Issuer("PS256", key=rsa_key())
        assert "another algorithm" in reason_of(issuer.token(), verifier(issuer, algorithm="RS256"))
        said = signed(issuer.header(alg="RS256"), claims(), issuer.key, "PS256")
        assert "signature is wrong" in reason_of(said, verifier(issuer, algorithm="RS256"))

    @pytest.mark.parametrize("alg", [LEFT_OUT, None, "", 7, ["ES256"], {"ES256": 1}, "es256", "ES256 "])
    def test_that_name_no_algorithm(self, alg):
        assert "another algorithm" in reason_of(OURS.token(header={"alg": alg}))

    def test_that_bring_their_own_key(self):
        attacker = Issuer(kid="mine")
        for header in (
            {"jwk": attacker.jwk()},
            {"jku": "http://127.0.0.1:9/keys"},
            {"x5u": "http://127.0.0.1:9/cert"},
            {"x5c": [base64.b64encode(b"certificate").decode()]},
        ):
            assert "not known" in reason_of(attacker.token(header=header))
            assert "signature is wrong" in reason_of(attacker.token(header=header | {"kid": "k1"}))
            assert "signature is wrong" in reason_of(attacker.token(header=header | {"kid": LEFT_OUT}))

    @pytest.mark.parametrize("kid", ["k2", "", "../../dev/null", "' OR 1=1 --", "K1", "k1 "])
    def test_of_a_key_that_is_not_known(self, kid):
        source = Keys(OURS)
        assert "key that is not known" in reason_of(OURS.token(header={"kid": kid}), TokenVerifier(source, rules()))
        assert source.wanted == 1

    @pytest.mark.parametrize("kid", [7, None, ["k1"], {"k1": 1}, True])
    def test_of_a_key_whose_id_is_no_text(self, kid):
        assert reason_of(OURS.token(header={"kid": kid})) == "the token is malformed"

    def test_that_do_not_say_which_of_two_keys(self):
        both = verifier(OURS, Issuer(kid="k2"))
        assert "by which of the keys" in reason_of(OURS.token(header={"kid": LEFT_OUT}), both)

    def test_without_any_key_nothing_is_accepted(self):
        source = Keys()
        none = TokenVerifier(source, rules())
        assert source.current() == KeySet()
        reason_of(OURS.token(), none)
        reason_of(OURS.token(header={"kid": LEFT_OUT}), none)

    @pytest.mark.parametrize(
        "header",
        [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": "b64"}, {"crit": ["b64"], "b64": False}, {"b64": False}],
    )
    def test_that_ask_for_another_reading(self, header):
        assert reason_of(OURS.token(header=header)) == "the token is malformed"


class TestClaims:
    """Our issuer signed these, and they are still not for us, not now, or not of anybody we know."""

    @pytest.mark.parametrize("name", ["exp", "iat", "sub", "iss", "aud"])
    @pytest.mark.parametrize("value", [LEFT_OUT, None])
    def test_nothing_may_be_missing(self, name, value):
        assert reason_of(OURS.token(**{name: value})) == "the token lacks one of exp, iat, sub, iss, aud"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"exp": -60}, "has expired"),
            ({"exp": -31}, "has expired"),
            ({"nbf": 60}, "not valid yet"),
            ({"iat": 60}, "not valid yet"),
        ],
    )
    def test_now_is_the_time(self, change, reason):
        ((name, seconds),) = change.items()
        assert reason in reason_of(OURS.token(**{name: int(time.time()) + seconds}))

    @pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
    @pytest.mark.parametrize("value", ["soon", [], {}, float("nan"), float("inf"), [2**40]])
    def test_a_time_is_a_number(self, name, value):
        reason_of(OURS.token(**{name: value}))

    @pytest.mark.parametrize("longest", [60, 3600, 43_200])
    def test_it_does_not_last_too_long(self, longest):
        """Broken before: a token that expires in a hundred years was as good as one of five minutes."""
        short = verifier(OURS, longest_life=longest)
        now = int(time.time())
        assert short.principal_of(OURS.token(iat=now - 10, exp=now - 10 + longest)) == RM
        for token in (OURS.token(iat=now - 10, exp=now - 9 + longest), OURS.token(iat=-(10**9), exp=now + 5)):
            with pytest.raises(NotAuthenticated) as caught:
                short.principal_of(token)
            assert caught.value.reason == f"the token lasts longer than the {longest} seconds allowed"

    @pytest.mark.parametrize("value", [True, 0, -1, -(10**300)])
    def test_the_beginning_of_time_has_passed(self, value):
        assert "has expired" in reason_of(OURS.token(exp=value))

    @pytest.mark.parametrize("value", ["https://evil.example", ISSUER + "/", "", 7, [ISSUER], {"a": 1}])
    def test_another_issuer(self, value):
        assert reason_of(OURS.token(iss=value)) == "the token is of another issuer"

    @pytest.mark.parametrize("value", ["crm", AUDIENCE + " ", ["crm"], [[AUDIENCE]], 7, {AUDIENCE: 1}])
    def test_another_service(self, value):
        assert reason_of(OURS.token(aud=value)) == "the token is for another service"

    @pytest.mark.parametrize("value", [LEFT_OUT, None, "", "RM", "root", "rm ", 7, ["rm"], {"rm": True}, True])
    def test_a_role_of_ours(self, value):
        assert reason_of(OURS.token(role=value)) == "the token's role is not one of ours"

    @pytest.mark.parametrize("value", [LEFT_OUT, None, "", 7, ["RM01"], {"RM01": 1}, True, "RM01\n", "R" * 201])
    def test_an_rm_with_an_id(self, value):
        assert "claims do not fit: " in reason_of(OURS.token(rm_id=value))

    @pytest.mark.parametrize("value", [LEFT_OUT, None, "", 7, ["B1"]])
    def test_a_team_lead_with_a_branch(self, value):
        assert "claims do not fit: " in reason_of(OURS.token(role="team_lead", branch_id=value))

    @pytest.mark.parametrize("value", ["", "a\nb", "s" * 201, "\ud800"])
    def test_a_subject_that_can_be_recorded(self, value):
        assert "claims do not fit: subject" in reason_of(OURS.token(sub=value))

    @pytest.mark.parametrize("value", [7, ["li.wei"], {}, False])
    def test_a_subject_that_is_text(self, value):
        assert reason_of(OURS.token(sub=value)) == "the token's sub is not text"


class TestForm:
    @pytest.mark.parametrize(
        "change",
        [
            lambda token: "",
            lambda token: "a",
            lambda token: "..",
            lambda token: token + "==",  # the library takes padding: one token would have two spellings
            lambda token: token + "=",
            lambda token: token + "\n",
            lambda token: token + "\0",
            lambda token: " " + token,
            lambda token: token.replace(".", " ."),
            lambda token: token + "." + token,
            lambda token: token + ".." + token,
            lambda token: token.replace(".", ".."),
            lambda token: ".".join(token.split(".")[:2]),
            lambda token: token + "é",
            lambda token: token + "李",
            lambda token: token + "\ud800",
            lambda token: token.upper(),
            lambda token: token[::-1],
            lambda token: json.dumps(dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))),
        ],
    )
    def test_only_the_compact_one(self, change):
        reason_of(change(OURS.token()))

    @pytest.mark.parametrize("header", [b"", b"{", b"[]", b'"text"', b"null", b"\xff", b"[" * 3000, b'{"alg":' * 500])
    def test_a_header_is_an_object(self, header):
        reason_of(signed(header, claims(), OURS.key, "ES256"))

    @pytest.mark.parametrize(
        "content", [b"{", b"[]", b'"text"', b"null", b"\xff", b"[" * 3000, b'{"exp":1' + b"0" * 5000]
    )
    def test_claims_are_an_object(self, content):
        reason_of(signed(OURS.header(), content, OURS.key, "ES256"))

    def test_eight_thousand_characters_are_enough(self):
        fits, too_long = OURS.token(note="n" * 5500), OURS.token(note="n" * 5900)
        assert len(fits) <= tokens.LONGEST < len(too_long)
        assert VERIFIER.principal_of(fits) == RM
        assert reason_of(too_long) == "the token is too long"


GOOD = OURS.token()
OTHER = OURS.token(sub="wang.fang", rm_id="RM02")
VERIFIER.principal_of(GOOD)  # remembered: nothing near it may profit
VERIFIER.principal_of(OTHER)


class TestFuzzed:
    @fuzzed
    @given(st.data())
    def test_one_character_is_another(self, data):
        at = data.draw(st.integers(0, len(GOOD) - 1))
        changed = GOOD[:at] + data.draw(st.characters() | st.sampled_from("AQgw019-_.=")) + GOOD[at + 1 :]
        assume(changed != GOOD)
        reason_of(changed)

    @fuzzed
    @given(st.integers(0, len(GOOD) - 1), st.integers(1, 64))
    def test_something_is_cut_out(self, at, length):
        reason_of(GOOD[:at] + GOOD[at + length :])

    @fuzzed
    @given(st.integers(0, len(GOOD)), st.text(min_size=1, max_size=4))
    def test_something_is_put_in(self, at, inserted):
        reason_of(GOOD[:at] + inserted + GOOD[at:])

    @fuzzed
    @given(st.lists(st.sampled_from([*GOOD.split("."), *OTHER.split(".")]), min_size=1, max_size=4))
    def test_parts_are_swapped(self, parts):
        changed = ".".join(parts)
        assume(changed not in (GOOD, OTHER))
        reason_of(changed)

    @fuzzed
    @given(st.text())
    def test_anything(self, text):
        reason_of(text)

    json_values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["ES256", "rm"]),
        lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
        max_leaves=5,
    )

    @fuzzed
    @given(
        st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "cty"]), json_values)
    )
    def test_headers_by_a_stranger(self, header):
        reason_of(signed(STRANGER.header() | header, claims(), STRANGER.key, "ES256"))

    @fuzzed
    @given(st.dictionaries(st.sampled_from(["exp", "iat", "nbf", "iss", "aud", "sub", "role", "rm_id"]), json_values))
    def test_claims_that_our_issuer_signed(self, changes):
        """Either they are a principal, just as they say, or nobody: never another error."""
        said = claims() | changes
        try:
            found = VERIFIER.principal_of(signed(OURS.header(), said, OURS.key, "ES256"))
        except NotAuthenticated:
            return
        assert (found.subject, found.role, found.rm_id) == (said["sub"], said["role"], said.get("rm_id"))
        assert said["iss"] == ISSUER
        assert said["aud"] in (AUDIENCE, [AUDIENCE])
        assert int(said["exp"]) > time.time() - 30


class TestRemembered:
    def test_what_is_verified_is_not_verified_again(self, monkeypatch):
        by = verifier(OURS)
        first = by.principal_of(GOOD)
        monkeypatch.setattr(jwt, "decode", None)
        assert by.principal_of(GOOD) is first

    def test_not_beyond_its_time(self):
        """What is remembered expires when the token does, and the leeway counts in the same way."""
        by = verifier(OURS, leeway=0.0)
        token = OURS.token(exp=int(time.time()) + 2)
        assert by.principal_of(token) == RM
        time.sleep(2.1)
        assert reason_of(token, by) == "the token has expired"

    def test_not_when_its_key_is_gone(self):
        """Taking a key out of the set revokes what it signed, also what is remembered."""
        source = Keys(OURS, Issuer(kid="k2"))
        by = TokenVerifier(source, rules())
        assert by.principal_of(GOOD) == RM
        source.publish(Issuer(kid="k2"))
        assert "key that is not known" in reason_of(GOOD, by)
        source.publish(STRANGER)
        assert "signature is wrong" in reason_of(GOOD, by)
        source.publish(OURS)
        assert by.principal_of(GOOD) == RM

    def test_only_so_many(self, monkeypatch):
        monkeypatch.setattr(tokens, "REMEMBERED", 3)
        by = verifier(OURS)
        many = [OURS.token(sub=f"rm{number}") for number in range(5)]
        for token in many:
            by.principal_of(token)
        kept = by._generation.verified
        assert list(kept) == [hashlib.sha256(token.encode()).digest() for token in many[2:]]
        assert by.principal_of(many[0]).subject == "rm0"

    def test_nothing_refused(self):
        by = verifier(OURS)
        for _ in range(5):
            reason_of(STRANGER.token(), by)
        assert len(by._generation.verified) == 0
