"""Which gates each event lies in: two bytes per event, because few combinations occur."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary
from biocross.flow.events import Events, read_columns, write_columns
from biocross.flow.gate_counts import why_unknown
from biocross.flow.gate_tree import Gating

_BITS = 64


class Membership(NamedTuple):
    """The gates of one patient's samples, event by event.

    Parameters
    ----------
    combination
        By sample, which combination of gates each event lies in, shape (events,).
    populations
        By combination, its populations in order of the vocabulary; the first has none.
    known
        By sample, the populations that could be gated in it.
    """

    combination: dict[str, NDArray[np.uint16]]
    populations: list[list[str]]
    known: dict[str, list[str]]


def find_membership(
    every: Sequence[Events], gating: Gating, order: Sequence[str], vocabulary: Vocabulary
) -> Membership:
    """List the gates of every event of a patient's samples.

    Parameters
    ----------
    every
        The samples; those whose file could not be read have no gates.
    gating
        The samples that could be read, gated.
    order
        The populations, in order of the vocabulary.
    vocabulary
        Says which populations a tissue cannot contain.

    Returns
    -------
    Membership
        Events that a quality step flagged lie in no gate.
    """
    sizes = [sample.quality.size for sample in gating.samples]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    words = np.zeros((-(-len(order) // _BITS) or 1, starts[-1]), dtype=np.uint64)
    known: dict[str, list[str]] = {sample.meta["sample_id"]: [] for sample in every}
    for number, name in enumerate(order):
        word, bit = words[number // _BITS], np.uint64(1 << (number % _BITS))
        for position, members in enumerate(gating.members(name)):
            if not why_unknown(gating, position, name, vocabulary):
                known[gating.samples[position].meta["sample_id"]].append(name)
                word[starts[position] + members] |= bit
    combination, populations = _combinations(words, order)
    found = {
        sample.meta["sample_id"]: combination[starts[i] : starts[i + 1]]
        for i, sample in enumerate(gating.samples)
    }
    nothing = np.zeros(0, dtype=np.uint16)
    return Membership({name: found.get(name, nothing) for name in known}, populations, known)


def _combinations(
    words: NDArray[np.uint64], order: Sequence[str]
) -> tuple[NDArray[np.uint16], list[list[str]]]:
    """Number the combinations of bits that occur; 0 is the empty one."""
    code = np.zeros(words.shape[1], dtype=np.intp)
    of_code: list[list[str]] = [[]]
    for place, word in enumerate(words):
        # An empty combination in front, so that it has number 0 whether it occurs or not.
        bits, inverse = np.unique(np.concatenate([[np.uint64(0)], word]), return_inverse=True)
        names = [
            [name for i, name in enumerate(order[place * _BITS :][:_BITS]) if int(value) >> i & 1]
            for value in bits
        ]
        pair, code = np.unique(
            np.concatenate([[0], code * bits.size + inverse[1:]]), return_inverse=True
        )
        code = code[1:]
        of_code = [of_code[value // bits.size] + names[value % bits.size] for value in pair]
    return code.astype(np.uint16), of_code


def write_membership(path: Path | str, membership: Membership) -> None:
    """Write the gates of a patient's samples."""
    names = [*membership.combination]
    sizes = [membership.combination[name].size for name in names]
    columns = {"combination": np.concatenate([np.zeros(0, np.uint16), *_values(membership)])}
    meta: dict[str, Any] = {
        "samples": names,
        "sizes": sizes,
        "populations": membership.populations,
        "known": membership.known,
    }
    write_columns(path, columns, meta)


def read_membership(path: Path | str) -> Membership:
    """Read a file of `write_membership`."""
    columns, meta = read_columns(path)
    parts = np.split(columns["combination"], np.cumsum(meta["sizes"])[:-1])
    return Membership(
        dict(zip(meta["samples"], parts, strict=True)), meta["populations"], meta["known"]
    )


def deepest_gates(populations: Sequence[Sequence[str]], depth: Mapping[str, int]) -> list[str]:
    """Name every combination of gates by its deepest one.

    Parameters
    ----------
    populations
        Of a `Membership`.
    depth
        By population, how many others hold it.

    Returns
    -------
    list of str
        Empty for the combination of no gates; of equally deep ones the first.
    """
    return [max(names, key=lambda name: depth[name], default="") for names in populations]


def _values(membership: Membership) -> list[NDArray[np.uint16]]:
    return list(membership.combination.values())
