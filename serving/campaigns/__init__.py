"""Whom to contact with what."""

from .target_list import check_path, target_list, write_list

__all__ = ["check_path", "target_list", "write_list"]
