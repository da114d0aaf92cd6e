"""What to offer a customer next."""
