"""Random streams that depend on a seed and on names, never on the order of work."""

import hashlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """Open the random stream of one thing, such as the events of one sample.

    Streams of different names are independent, so that adding a sample, or simulating on more
    cores, changes no other sample.

    Parameters
    ----------
    seed
        The study's seed, 0 or more.
    *names
        What the numbers are for, for example ``"events", "P01_baseline"``.

    Returns
    -------
    numpy.random.Generator
        Always the same for the same seed and names.
    """
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
