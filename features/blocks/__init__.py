"""Blocks: some customers at one date, what features, models and decisions compute on."""

from .block import BLOCK_SIZE, CustomerBlock
from .candidates import candidates_of, sold_on

__all__ = ["BLOCK_SIZE", "CustomerBlock", "candidates_of", "sold_on"]
