"""How entries are chained: what a digest covers, what a link covers, and where a chain ends.

A digest is the SHA-256 of an entry's salt, customer and payload; a link is the SHA-256 of the link before, of the
entry's number, kind, id and time, and of its digest. Erasure removes salt, customer and payload: the chain still holds,
and what was removed cannot be guessed from the digest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct

from features.errors import BadInput

_CONTENT = Struct(">qqq").pack
_LINK = Struct(">qqqq").pack

_PIECE = 2047  # while it hashes more at a time, hashlib lets other threads run: that takes longer than the hash
_BIG = 1 << 16  # except of more than this


@dataclass(frozen=True)
class Anchor:
    """A place in the chain. Noted somewhere else, it proves later that nothing before it was changed or cut off.

    Attributes
    ----------
    seq : number of the entry; 0: before the first
    chain : its link, 32 bytes
    """

    seq: int
    chain: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.chain.hex()}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """The place that ``SEQ:HEX`` names.

        Raises
        ------
        BadInput : when it is not of that form
        """
        found = re.fullmatch(r"(\d{1,18}):([0-9a-fA-F]{64})", text.strip(), re.ASCII)
        if found is None:
            raise BadInput(f"anchor: expected SEQ:HEX as `nextproduct log verify` prints it, not {text!r}")
        return cls(int(found[1]), bytes.fromhex(found[2]))


START = Anchor(0, bytes(32))
"""Before the first entry."""


def digest_of(salt: bytes, customer_id: str | None, payload: bytes) -> bytes:
    """SHA-256 of `content_of` an entry, for who has other threads beside."""
    content = content_of(salt, customer_id, payload)
    if len(content) <= _PIECE or len(content) > _BIG:
        return sha256(content).digest()
    digest = sha256()
    for start in range(0, len(content), _PIECE):
        digest.update(content[start : start + _PIECE])
    return digest.digest()


def content_of(salt: bytes, customer_id: str | None, payload: bytes) -> bytes:
    """What a digest is of: the lengths of salt, customer (-1: none) and payload, eight bytes each, and the three
    themselves."""
    if customer_id is None:
        return _CONTENT(len(salt), -1, len(payload)) + salt + payload
    customer = _encoded(customer_id)
    return b"".join((_CONTENT(len(salt), len(customer), len(payload)), salt, customer, payload))


def chain_of(previous: bytes, seq: int, kind: str, entry_id: str, at: str, digest: bytes) -> bytes:
    """The link of an entry: SHA-256 of the link before, the entry's number and the lengths of kind, id and time, eight
    bytes each, the digest, and kind, id and time themselves."""
    kind_, id_, at_ = _encoded(kind), _encoded(entry_id), _encoded(at)
    link = (previous, _LINK(seq, len(kind_), len(id_), len(at_)), digest, kind_, id_, at_)
    return sha256(b"".join(link)).digest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # what was tampered with need not be text in UTF-8
