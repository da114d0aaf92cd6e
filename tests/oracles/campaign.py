"""The best customers for some products, found by sorting all pairs of customer and product."""


def best_pairs(pairs, size):
    """The `size` best of `pairs` (customer id, product id, propensity), each customer once, ties to the lower ids."""
    chosen, customers = [], set()
    for customer_id, product_id, propensity in sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1])):
        if customer_id not in customers and len(chosen) < size:
            customers.add(customer_id)
            chosen.append((customer_id, product_id, propensity))
    return chosen
