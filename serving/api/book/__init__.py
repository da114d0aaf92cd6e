"""An RM's own customers."""
