"""Whom to contact with what."""

from .kept_lists import keep_list, lists_without
from .target_list import check_path, target_list, write_list

__all__ = ["check_path", "keep_list", "lists_without", "target_list", "write_list"]
