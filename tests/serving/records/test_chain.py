"""Digests and links, computed by hand."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BadInput
from serving.records import Anchor
from serving.records.chain import START, chain_of, digest_of


def number(value):
    return value.to_bytes(8, "big", signed=True)


class TestDigest:
    def test_covers_salt_customer_and_payload_with_their_lengths(self):
        expected = sha256(number(4) + number(7) + number(4) + b"salt" + "客户1".encode() + b"said").digest()
        assert digest_of(b"salt", "客户1", b"said") == expected

    def test_tells_nobody_from_a_customer_without_a_name(self):
        assert digest_of(b"salt", None, b"said") == sha256(number(4) + number(-1) + number(4) + b"saltsaid").digest()
        assert digest_of(b"salt", None, b"said") != digest_of(b"salt", "", b"said")

    @pytest.mark.parametrize("size", [0, 2020, 2021, 2047, 2048, 4067, 4068, 65_509, 65_510, 200_000])
    def test_is_the_same_however_the_payload_is_cut(self, size):
        """Payloads are hashed in pieces, so that other threads are not let in for each."""
        payload = bytes(range(256)) * (size // 256 + 1)
        expected = sha256(number(1) + number(2) + number(size) + b"sC1" + payload[:size]).digest()
        assert digest_of(b"s", "C1", payload[:size]) == expected

    @given(st.tuples(st.text(), st.binary()), st.tuples(st.text(), st.binary()))
    def test_differs_where_anything_does(self, one, other):
        assert (digest_of(b"salt", *one) == digest_of(b"salt", *other)) == (one == other)


class TestLink:
    def test_covers_the_one_before_and_every_other_column(self):
        expected = sha256(
            bytes(32) + number(1) + number(5) + number(2) + number(4) + b"d" * 32 + b"event" + b"id" + b"2026"
        ).digest()
        assert chain_of(START.chain, 1, "event", "id", "2026", b"d" * 32) == expected

    def test_moving_a_letter_to_the_next_column_changes_it(self):
        assert chain_of(bytes(32), 1, "ab", "c", "", bytes(32)) != chain_of(bytes(32), 1, "a", "bc", "", bytes(32))


class TestAnchor:
    def test_is_read_as_it_is_written(self):
        anchor = Anchor(12, bytes(range(32)))
        assert str(anchor) == "12:" + "".join(f"{value:02x}" for value in range(32))
        assert Anchor.parse(f" {anchor}\n") == anchor

    @pytest.mark.parametrize(
        "text", ["", "12", "12:abc", "x:" + "0" * 64, "-1:" + "0" * 64, "1:" + "0" * 65, "١:" + "0" * 64]
    )
    def test_anything_else_is_refused(self, text):
        with pytest.raises(BadInput, match="expected SEQ:HEX"):
            Anchor.parse(text)
