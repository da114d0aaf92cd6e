"""From scores to probabilities: calibration, the blend of several models, and what new products start from."""
