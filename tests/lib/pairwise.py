# SPDX-License-Identifier: Apache-2.0
"""Rows of options in which every pair of values occurs."""

import itertools


def pairs(row):
    """All pairs of (factor, value) of a row."""
    return set(itertools.combinations(enumerate(row), 2))


def array(factors, allowed):
    """Rows that cover each pair of values of two factors that allowed takes.

    factors: lists of values; allowed(row): whether a row may be; None in it is
    not chosen yet. Greedy, and the same each time.
    """
    wanted = set()
    for (i, a), (k, b) in itertools.combinations(enumerate(factors), 2):
        for pair in itertools.product(range(len(a)), range(len(b))):
            row = [None] * len(factors)
            row[i], row[k] = a[pair[0]], b[pair[1]]
            if allowed(row):
                wanted.add(((i, pair[0]), (k, pair[1])))
    rows = []
    while wanted:
        row = _row(factors, allowed, wanted)
        wanted -= pairs(row)
        rows.append([f[v] for f, v in zip(factors, row)])
    return rows


def _values(factors, row):
    return [None if v is None else f[v] for f, v in zip(factors, row)]


def _row(factors, allowed, wanted):
    """Begin with a pair that is wanted; each further value by what it adds."""
    row = [None] * len(factors)
    for place, value in min(wanted):
        row[place] = value
    for i, values in enumerate(factors):
        if row[i] is not None:
            continue
        best = None
        for v in range(len(values)):
            row[i] = v
            if not allowed(_values(factors, row)):
                continue
            gain = sum(tuple(sorted(((i, v), (k, w)))) in wanted
                       for k, w in enumerate(row) if k != i and w is not None)
            if best is None or gain > best[0]:
                best = gain, v
        row[i] = best[1]
    return tuple(row)
