"""From bank tables to customer states: check, pack aside, put into use in one step."""

from .building import BuildConfig, BuildOutcome, build_states

__all__ = ["BuildConfig", "BuildOutcome", "build_states"]
