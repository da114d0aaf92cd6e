"""What is known of every customer, memory-mapped and viewable at any past period: profiles, holdings through time,
panels, events, groups of similar customers."""

from .customer_states import (
    CURRENT,
    FORMAT,
    KEPT,
    MANIFEST,
    STATES_FOLDER,
    CustomerStates,
    Manifest,
    current_states,
    switch_to,
)

__all__ = [
    "CURRENT",
    "FORMAT",
    "KEPT",
    "MANIFEST",
    "STATES_FOLDER",
    "CustomerStates",
    "Manifest",
    "current_states",
    "switch_to",
]
