"""The policy file: what it may say, reading and checking it, its words, putting it into use."""
