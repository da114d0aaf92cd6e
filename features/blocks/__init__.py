"""Blocks: some customers at one date, what features, models and decisions compute on."""

from .block import CustomerBlock
from .candidates import candidates_of

__all__ = ["CustomerBlock", "candidates_of"]
