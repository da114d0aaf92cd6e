"""The compiled part of `tree_contributions`: Shapley values of leaves, tables of them, customers explained by both."""

from __future__ import annotations

import numpy as np
from numba import prange

from features.kernels import kernel

from .ensemble import MAX_LEAVES, read

LANES = 4
"""Nodes at which a leaf's integrand is computed side by side."""
MOST_TABULATED = 10
"""Steps to a leaf up to which the 2**n sets of them may be worked out beforehand."""
FEW = 32
"""Customers: up to as many, one thread is done before others wake."""

_TILE, _SMALL_TILE = 16, 8  # askings for one class that go through its trees together
_FEWEST_ALIKE = 4  # from how many on that pays, of trees that have many steps
_MANY_STEPS = 4  # to each feature


@kernel
def _leaf_contributions(leaf, covers, pattern, nodes, weights, below, out):  # type: ignore[no-untyped-def]
    """Write what each step of one leaf contributes, shape (n,); bit i of `pattern`: step i is followed."""
    n = len(covers)
    rule = (n + 1) // 2
    for i in range(n):
        out[i] = 0.0
    for group in range(0, rule, LANES):
        # side by side and spelt out: an array of lanes would go through memory at every step
        t0, t1, t2, t3 = nodes[rule, group : group + 4]
        p0, p1, p2, p3 = weights[rule, group : group + 4]
        for i in range(n):
            z = covers[i]
            rise = np.float64((pattern >> np.uint64(i)) & np.uint64(1)) - z
            below[i, 0], below[i, 1], below[i, 2], below[i, 3] = p0, p1, p2, p3
            p0, p1, p2, p3 = p0 * (z + rise * t0), p1 * (z + rise * t1), p2 * (z + rise * t2), p3 * (z + rise * t3)
        p0 = p1 = p2 = p3 = 1.0
        for i in range(n - 1, -1, -1):
            z = covers[i]
            rise = np.float64((pattern >> np.uint64(i)) & np.uint64(1)) - z
            out[i] += (below[i, 0] * p0 + below[i, 1] * p1) + (below[i, 2] * p2 + below[i, 3] * p3)
            p0, p1, p2, p3 = p0 * (z + rise * t0), p1 * (z + rise * t1), p2 * (z + rise * t2), p3 * (z + rise * t3)
    for i in range(n):
        out[i] *= leaf * (np.float64((pattern >> np.uint64(i)) & np.uint64(1)) - covers[i])


@kernel
def tabulate(leaves, step_starts, covers, table_starts, nodes, weights, table):  # type: ignore[no-untyped-def]
    """Write what the steps to each leaf contribute, for each set of them that is followed, into `table`."""
    below = np.empty((MOST_TABULATED, LANES), np.float64)
    for leaf in range(len(leaves)):
        mine = covers[step_starts[leaf] : step_starts[leaf + 1]]
        n = len(mine)
        for pattern in range((table_starts[leaf + 1] - table_starts[leaf]) // max(n, 1)):
            begin = table_starts[leaf] + pattern * n
            out = table[begin : begin + n]
            _leaf_contributions(leaves[leaf], mine, np.uint64(pattern), nodes, weights, below, out)


# inlined, because handing over so many arrays takes as long as a small tree does


@kernel(inline="always")
def _follow(values, tree, splits, ways):  # type: ignore[no-untyped-def]
    """Write into `ways` which steps are followed on the way to each split and leaf of a tree: bit i, step i."""
    split_starts, split_features, missing_as, zero_is_missing, cuts, split_steps, children = splits
    first = np.uint64(split_starts[tree])
    ways[0] = ~np.uint64(0)
    for number in range(np.uint64(split_starts[tree + 1]) - first):
        split = first + np.uint64(number)
        value = read(values[split_features[split]], missing_as[split], zero_is_missing[split])
        # "not (value <= cut)": a NaN that stands for a missing value goes right
        right = np.uint64(not (value <= cuts[split]))
        step = np.uint64(split_steps[split])
        way = ways[np.uint64(number)]
        ways[children[split, 0]] = way & ~(right << step)
        ways[children[split, 1]] = way & ~((right ^ np.uint64(1)) << step)


@kernel(inline="always")
def _sent_right(values, tree, splits):  # type: ignore[no-untyped-def]
    """Which splits of a whole tree send the customer right: bit i, split i."""
    split_starts, split_features, missing_as, zero_is_missing, cuts, _, _ = splits
    first, way = np.uint64(split_starts[tree]), np.uint64(0)
    for number in range(np.uint64(split_starts[tree + 1]) - first):
        split = first + np.uint64(number)
        value = read(values[split_features[split]], missing_as[split], zero_is_missing[split])
        way |= np.uint64(not (value <= cuts[split])) << np.uint64(number)
    return way


@kernel(inline="always")
def _add_up(start, end, factor, first, steps, begins, tabulated, out):  # type: ignore[no-untyped-def]
    """Add to `out`, shape (n_features,), what the steps from `start` to before `end` contribute, in their order."""
    _, step_leaves, step_features, _ = steps
    for number in range(end - start):
        step = start + np.uint64(number)
        out[step_features[step]] += factor * tabulated[begins[step_leaves[step] - first] + step]


@kernel
def tabulate_whole(kept, trees, whole, class_starts, splits, leaves, steps, table, starts, out):  # type: ignore[no-untyped-def]
    """Write the tables of the `kept` leaves, of the first of a whole tree that of all."""
    split_starts, split_steps, children = splits[0], splits[5], splits[6]
    leaf_starts, step_starts = leaves[0], steps[0]
    table_starts, tabulated = table
    ways = np.empty(2 * MAX_LEAVES, np.uint64)
    for number in range(len(kept)):
        begin = starts[number]
        if not whole[trees[number]]:
            first, end = table_starts[kept[number]], table_starts[kept[number] + 1]
            out[begin : begin + end - first] = tabulated[first:end]
            continue
        tree = trees[number]
        n_splits = split_starts[tree + 1] - split_starts[tree]
        for pattern in range(1 << n_splits):
            ways[0] = ~np.uint64(0)
            for split in range(n_splits):
                step = np.uint64(split_steps[split_starts[tree] + split])
                right = np.uint64(pattern >> split & 1)
                left_child, right_child = children[split_starts[tree] + split]
                ways[left_child] = ways[split] & ~(right << step)
                ways[right_child] = ways[split] & ~((right ^ np.uint64(1)) << step)
            for leaf in range(leaf_starts[tree], leaf_starts[tree + 1]):
                n = step_starts[leaf + 1] - step_starts[leaf]
                way = ways[MAX_LEAVES + leaf - leaf_starts[tree]] & leaves[2][leaf]
                first = table_starts[leaf] + np.int64(way) * n
                out[begin : begin + n] = tabulated[first : first + n]
                begin += n


@kernel(inline="always")
def _explain_one(values, k, factor, class_starts, splits, leaves, steps, table, nodes, weights, room, out):  # type: ignore[no-untyped-def]
    """Of one customer: first where each leaf's steps stand in the table, then reading that, and only then adding it up.

    What does not wait for anything is read many at a time, and of one loop over all steps a processor need not guess
    the end leaf by leaf.
    """
    leaf_starts, leaf_values, leaf_ways = leaves
    step_starts, _, step_features, covers = steps
    table_starts, tabulated = table
    ways, begins, below, found = room
    one = np.uint64(1)
    first, last = np.uint64(leaf_starts[class_starts[k]]), np.uint64(leaf_starts[class_starts[k + 1]])
    for tree in range(class_starts[k], class_starts[k + 1]):
        mine = np.uint64(leaf_starts[tree])
        if np.uint64(leaf_starts[tree + 1]) - mine == one:
            begins[mine - first] = _sent_right(values, tree, splits)
            continue
        _follow(values, tree, splits, ways)
        for number in range(np.uint64(leaf_starts[tree + 1]) - mine):
            leaf = mine + np.uint64(number)
            begins[leaf - first] = ways[np.uint64(MAX_LEAVES) + np.uint64(number)] & leaf_ways[leaf]
    read_ahead = 0.0
    for number in range(last - first):
        leaf = first + np.uint64(number)
        start, n = np.uint64(step_starts[leaf]), np.uint64(step_starts[leaf + one] - step_starts[leaf])
        if table_starts[leaf + one] > table_starts[leaf]:
            begin = np.uint64(table_starts[leaf]) + begins[np.uint64(number)] * n
            read_ahead += tabulated[begin] + tabulated[begin + n - one]
            begins[np.uint64(number)] = begin - start  # a step finds its own value by its number
    found[0] = read_ahead  # or it would not be read
    added = np.uint64(step_starts[first])
    for number in range(last - first):
        leaf = first + np.uint64(number)
        start, end = np.uint64(step_starts[leaf]), np.uint64(step_starts[leaf + one])
        if start == end or table_starts[leaf + one] > table_starts[leaf]:
            continue
        _add_up(added, start, factor, first, steps, begins, tabulated, out)
        way = begins[np.uint64(number)]
        _leaf_contributions(leaf_values[leaf], covers[start:end], way, nodes, weights, below, found)
        for i in range(end - start):
            out[step_features[start + np.uint64(i)]] += factor * found[i]
        added = end
    end = np.uint64(step_starts[last])
    _add_up(added, end, factor, first, steps, begins, tabulated, out)


@kernel(inline="always")
def _explain_tile(  # type: ignore[no-untyped-def]
    size, alike, features, k, factor, class_starts, splits, leaves, steps, table, nodes, weights, out
):
    """Of those `alike`, row and place, who all ask for class `k`: what is known of a tree is read once for all.

    They are taken for `size`, a constant, so that loops over them are unrolled; the last one repeats.
    """
    split_starts, split_features, missing_as, zero_is_missing, cuts, split_steps, children = splits
    leaf_starts, leaf_values, leaf_ways = leaves
    step_starts, _, step_features, covers = steps
    table_starts, tabulated = table
    n_features, one = out.shape[2], np.uint64(1)
    values, totals = np.empty((n_features, size), np.float32), np.empty((n_features, size), np.float64)
    for feature in range(n_features):
        for lane in range(size):
            row, place = alike[np.uint64(min(lane, len(alike) - 1))]
            values[feature, lane], totals[feature, lane] = features[row, feature], out[row, place, feature]
    ways, begins = np.empty((2 * MAX_LEAVES, size), np.uint64), np.empty(size, np.uint64)
    below, found = np.empty((MAX_LEAVES, LANES), np.float64), np.empty(MAX_LEAVES, np.float64)
    for tree in range(class_starts[k], class_starts[k + 1]):
        ways[0] = ~np.uint64(0)
        first = np.uint64(split_starts[tree])
        for number in range(np.uint64(split_starts[tree + 1]) - first):
            split = first + np.uint64(number)
            mine, way = values[split_features[split]], ways[np.uint64(number)]
            left, right = ways[children[split, 0]], ways[children[split, 1]]
            missing, zero, cut, step = missing_as[split], zero_is_missing[split], cuts[split], split_steps[split]
            for lane in range(size):
                goes_right, here = np.uint64(not (read(mine[lane], missing, zero) <= cut)), way[lane]
                left[lane] = here & ~(goes_right << np.uint64(step))
                right[lane] = here & ~((goes_right ^ one) << np.uint64(step))
        first = np.uint64(leaf_starts[tree])
        for number in range(np.uint64(leaf_starts[tree + 1]) - first):
            leaf, way = first + np.uint64(number), ways[np.uint64(MAX_LEAVES) + np.uint64(number)]
            begin, end = np.uint64(step_starts[leaf]), np.uint64(step_starts[leaf + one])
            n, tabled, told = end - begin, np.uint64(table_starts[leaf]), leaf_ways[leaf]
            if table_starts[leaf + one] > table_starts[leaf]:
                for lane in range(size):
                    begins[lane] = tabled + (way[lane] & told) * n
                for i in range(n):
                    total = totals[step_features[begin + np.uint64(i)]]
                    for lane in range(size):
                        total[lane] += factor * tabulated[begins[lane] + np.uint64(i)]
                continue
            for lane in range(size):
                leaf_value, followed = leaf_values[leaf], way[lane] & told
                _leaf_contributions(leaf_value, covers[begin:end], followed, nodes, weights, below, found)
                for i in range(n):
                    totals[step_features[begin + np.uint64(i)], lane] += factor * found[i]
    for lane in range(len(alike)):
        row, place = alike[lane]
        for feature in range(n_features):
            out[row, place, feature] = totals[feature, lane]


@kernel
def _explain_alike(alike, features, k, factor, class_starts, splits, leaves, steps, table, nodes, weights, out):  # type: ignore[no-untyped-def]
    start = 0
    while start < len(alike):
        if len(alike) - start > _SMALL_TILE:
            _explain_tile(
                _TILE, alike[start : start + _TILE], features, k, factor, class_starts, splits, leaves, steps, table,
                nodes, weights, out,
            )  # fmt: skip
            start += _TILE
        else:
            _explain_tile(
                _SMALL_TILE, alike[start:], features, k, factor, class_starts, splits, leaves, steps, table, nodes,
                weights, out,
            )  # fmt: skip
            start += _SMALL_TILE


@kernel
def _by_class(classes, n_classes):  # type: ignore[no-untyped-def]
    """Where those who ask for each class begin, and row and place of each."""
    starts = np.zeros(n_classes + 2, np.int64)
    for k in classes.flat:
        starts[max(k, -1) + 2] += 1
    starts = np.cumsum(starts)
    asking = np.empty((classes.size, 2), np.int64)
    for row in range(classes.shape[0]):
        for place in range(classes.shape[1]):
            k = max(classes[row, place], -1) + 1
            asking[starts[k]] = row, place
            starts[k] += 1
    return starts[:-1], asking


@kernel
def explain_few(features, classes, factor, class_starts, splits, leaves, steps, table, nodes, weights, out):  # type: ignore[no-untyped-def]
    """Add to `out` what each feature contributes to the raw score of the classes asked for, by one thread."""
    starts, asking = _by_class(classes, len(class_starts) - 1)
    room = (
        np.empty(2 * MAX_LEAVES, np.uint64), np.empty(len(leaves[1]), np.uint64),
        np.empty((MAX_LEAVES, LANES), np.float64), np.empty(MAX_LEAVES, np.float64),
    )  # fmt: skip
    leaf_starts, step_starts = leaves[0], steps[0]
    for k in range(len(class_starts) - 1):
        alike = asking[starts[k] : starts[k + 1]]
        first, last = leaf_starts[class_starts[k]], leaf_starts[class_starts[k + 1]]
        n_steps = step_starts[last] - step_starts[first]
        if len(alike) >= _FEWEST_ALIKE and n_steps >= _MANY_STEPS * features.shape[1]:
            _explain_alike(
                alike, features, k, factor, class_starts, splits, leaves, steps, table, nodes, weights, out
            )  # fmt: skip
            continue
        for row, place in alike:
            _explain_one(
                features[row], k, factor, class_starts, splits, leaves, steps, table, nodes, weights, room,
                out[row, place],
            )  # fmt: skip


@kernel(parallel=True)
def explain_many(features, classes, factor, class_starts, splits, leaves, steps, table, nodes, weights, out):  # type: ignore[no-untyped-def]  # fmt: skip
    """`explain_few`, by all threads."""
    for chunk in prange((len(features) + FEW - 1) // FEW):
        start, end = chunk * FEW, min((chunk + 1) * FEW, len(features))
        explain_few(
            features[start:end], classes[start:end], factor, class_starts, splits, leaves, steps, table,
            nodes, weights, out[start:end],
        )  # fmt: skip
