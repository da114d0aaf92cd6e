"""The payments among the companies of a block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .population import Population


@dataclass(frozen=True)
class Network:
    """Who pays whom among the companies of a block.

    Attributes
    ----------
    payer, payee : int32, shape (n_links,); positions, each pair once, never the same
    usual : float32, shape (n_links,); log10 of a usual month's amount in yuan
    neighbours : CSR (n, n), rows sum to 1: the share of a company's dealings that is with each other one
    n_partners : float32, shape (n,)
    """

    payer: NDArray[np.int32]
    payee: NDArray[np.int32]
    usual: NDArray[np.float32]
    neighbours: sp.csr_array
    n_partners: NDArray[np.float32]


def connect(population: Population, rng: np.random.Generator) -> Network:
    """Draw the payment network of a block's companies: larger ones have more partners and larger dealings."""
    n = len(population)
    size = population.size.astype(np.float64)
    weight = 10 ** (0.5 * size)
    n_payees = 1 + rng.poisson(1.2 + size)
    payer = np.repeat(np.arange(n), n_payees)
    payee = rng.choice(n, len(payer), p=weight / weight.sum())
    links = np.unique((payer * n + payee)[payer != payee])
    payer, payee = np.divmod(links, n)
    usual = 3.4 + 0.55 * (size[payer] + size[payee]) / 2 + rng.normal(0, 0.4, len(links))
    amounts = sp.csr_array((10**usual, (payer, payee)), shape=(n, n))
    dealings = (amounts + amounts.T).tocsr()
    total = np.asarray(dealings.sum(axis=1)).ravel()
    neighbours = (sp.diags_array(1 / np.maximum(total, 1e-9)) @ dealings).tocsr().astype(np.float32)
    return Network(
        payer.astype(np.int32),
        payee.astype(np.int32),
        usual.astype(np.float32),
        neighbours,
        np.diff(neighbours.indptr).astype(np.float32),
    )


@dataclass(frozen=True)
class Payments:
    """The payments of one month; arrays have one entry for each link that was used.

    Attributes
    ----------
    payer, payee : positions of companies
    count : payments
    amount : whole yuan
    """

    payer: NDArray[np.int32]
    payee: NDArray[np.int32]
    count: NDArray[np.int64]
    amount: NDArray[np.float64]

    def received(self, n: int) -> NDArray[np.float64]:
        """Yuan that each of n companies received."""
        return np.bincount(self.payee, self.amount, n).astype(np.float64)

    def paid(self, n: int) -> NDArray[np.float64]:
        """Yuan that each of n companies paid."""
        return np.bincount(self.payer, self.amount, n).astype(np.float64)


def pay(network: Network, member: NDArray[np.bool_], rng: np.random.Generator) -> Payments:
    """Draw a month's payments between companies that are both customers."""
    n_links = len(network.payer)
    used = (rng.random(n_links) < 0.72) & member[network.payer] & member[network.payee]
    amount = 10 ** (network.usual + 0.25 * rng.standard_normal(n_links))
    count = 1 + rng.poisson(1.5, n_links)
    return Payments(network.payer[used], network.payee[used], count[used], np.rint(amount[used]) + 1)
