"""Popularity and collaborative filtering, slow and obvious: one customer, one product at a time."""

import numpy as np


def popularity_rates(batches, n_segments, n_products, window, shrinkage):
    """Acquisition rates {(segment, product): rate}, counting customers one by one."""
    periods = [batch.block.period for batch in batches]
    candidates = np.zeros((n_segments, n_products))
    acquired = np.zeros((n_segments, n_products))
    for batch in batches:
        if window is not None and batch.block.period <= max(periods) - window:
            continue
        for customer, segment in enumerate(batch.block.segments):
            for product in range(n_products):
                candidates[segment, product] += batch.block.candidates[customer, product]
                acquired[segment, product] += batch.acquired[customer, product]
    everything = (acquired.sum() + 1 / 2) / (candidates.sum() + 1)
    rates = {}
    for product in range(n_products):
        of_product = (acquired[:, product].sum() + shrinkage * everything) / (candidates[:, product].sum() + shrinkage)
        for segment in range(n_segments):
            rates[segment, product] = (acquired[segment, product] + shrinkage * of_product) / (
                candidates[segment, product] + shrinkage
            )
    return rates


def cosine_similarity(held):
    """Customers shared by two products, over the geometric mean of their customers; 0 with itself and with nobody's."""
    n_products = held.shape[1]
    similarity = np.zeros((n_products, n_products))
    for i in range(n_products):
        for j in range(n_products):
            if i != j and held[:, i].any() and held[:, j].any():
                shared = np.sum(held[:, i] & held[:, j])
                similarity[i, j] = shared / np.sqrt(held[:, i].sum() * held[:, j].sum())
    return similarity


def ease_weights(held, l2):
    """A ridge regression of each product on all the others."""
    n_products = held.shape[1]
    weights = np.zeros((n_products, n_products))
    for target in range(n_products):
        others = [product for product in range(n_products) if product != target]
        X = held[:, others].astype(float)
        y = held[:, target].astype(float)
        weights[others, target] = np.linalg.solve(X.T @ X + l2 * np.eye(len(others)), X.T @ y)
    return weights


def folded_in(held, item_factors, regularization, alpha):
    """One customer's vector: minimises sum of confidence * (held - x'y)^2 + regularization * |x|^2."""
    n_factors = item_factors.shape[1]
    matrix = regularization * np.eye(n_factors)
    right = np.zeros(n_factors)
    for product, factors in enumerate(item_factors):
        confidence = alpha if held[product] else 1.0
        matrix += confidence * np.outer(factors, factors)
        right += confidence * held[product] * factors
    return np.linalg.solve(matrix, right)


def best_candidates(scores, candidates, k):
    """For each customer the positions of the `k` best candidates, ties to the lower position, padded with -1."""
    rows = []
    for customer in range(len(scores)):
        ranked = sorted(np.flatnonzero(candidates[customer]), key=lambda product: (-scores[customer, product], product))
        rows.append((ranked + [-1] * k)[:k])
    return np.array(rows, dtype=np.int32).reshape(len(scores), k)


def ranking_objective(vector, held, item_factors, shares, penalty):
    """What BPR maximises for one customer: pair by pair; `item_factors` with the biases last, `vector` without them."""
    total = -penalty / 2 * sum(value**2 for value in vector)
    others = sum(share for share, is_held in zip(shares, held, strict=True) if not is_held)
    for i in np.flatnonzero(held):
        for j in np.flatnonzero(~held):
            difference = item_factors[i] - item_factors[j]
            margin = vector @ difference[:-1] + difference[-1]
            total += 1 / held.sum() * shares[j] / others * np.log(1 / (1 + np.exp(-margin)))
    return total


def standardised_counts(batches, rates, are_held):
    """Candidates, acquisitions, and those expected from `rates` {(segment, product): rate}, by customers who hold
    what `are_held` asks for, product by product."""
    n_products = batches[0].block.n_products
    candidates, acquired, expected = np.zeros(n_products), np.zeros(n_products), np.zeros(n_products)
    for batch in batches:
        for customer, segment in enumerate(batch.block.segments):
            if not are_held(frozenset(np.flatnonzero(batch.block.held[customer]).tolist())):
                continue
            for product in np.flatnonzero(batch.block.candidates[customer]):
                candidates[product] += 1
                acquired[product] += batch.acquired[customer, product]
                expected[product] += rates[segment, product]
    return candidates, acquired, expected
