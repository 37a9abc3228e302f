"""Seeds as arguments: each draw has its own, made from the run's seed and what the draw is for.

So the order of calls is no hidden parameter, and a resumed epoch draws what the uninterrupted one would have.
"""

import hashlib

import torch


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2**63) for one purpose, e.g. `derived_seed(0, "shuffle", epoch)`: BLAKE2b of the arguments' repr."""
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator at `derived_seed(seed, *purpose)`."""
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))
