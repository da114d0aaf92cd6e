"""One customer: overview, and why not a product."""
