"""Reasons that can be said aloud: from the model, from holdings, from triggers."""
