"""The search for better settings, on dates before those that judge."""
