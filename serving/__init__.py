"""What we do about it: decisions, suggestions, campaign target lists, the service, the command line."""
