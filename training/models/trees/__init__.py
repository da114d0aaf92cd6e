"""Boosted trees: scored by a bitmask traversal, explained by TreeSHAP, both equal to LightGBM's answers."""
