"""The pages of `docs/` say what the code says: parts of them are written by it, and tests look at all of them."""
