"""What serves is changed, and taken back."""
