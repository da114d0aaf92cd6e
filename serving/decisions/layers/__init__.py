"""The layers of a decision, each an array over customers and products, and what they ask of customers."""
