"""What a panel can judge of the vocabulary's phenotypes: a tree of populations, each in words."""

from collections.abc import Collection
from typing import NamedTuple

from biocross.cohort.phenotypes import Sign
from biocross.cohort.vocabulary import Vocabulary, within

# A word that the panel can judge: signs of which any may hold.
Signs = tuple[Sign, ...]


class PhenotypeTree(NamedTuple):
    """The populations that a panel can tell, by the population that holds them.

    Parameters
    ----------
    parts
        By population (None for the top), the populations that are told within it.
    words
        By population, what tells it within its container; all words must hold.
    skipped
        By population, why the panel cannot tell it.
    """

    parts: dict[str | None, tuple[str, ...]]
    words: dict[str, tuple[Signs, ...]]
    skipped: dict[str, str]

    def path(self, population: str) -> tuple[str, ...]:
        """List the populations that lead from the top to one, itself last."""
        holder = {part: whole for whole, parts in self.parts.items() for part in parts}
        path = [population]
        while (above := holder[path[0]]) is not None:
            path.insert(0, above)
        return tuple(path)

    @property
    def markers(self) -> tuple[str, ...]:
        """Every marker that some word rests on."""
        signs = (s for words in self.words.values() for word in words for s in word)
        return tuple(dict.fromkeys(sign.marker for sign in signs))


def phenotype_tree(vocabulary: Vocabulary, markers: Collection[str]) -> PhenotypeTree:
    """Find out which populations a panel can tell, and by which words.

    A population is told within the smallest population that holds it (`container`). Populations
    without a phenotype, such as the union of all lymphocytes, are passed over: their parts are
    told within what holds them; so are those whose words the panel lacks and need not have.

    Parameters
    ----------
    vocabulary
        The populations.
    markers
        What the panel measures.

    Returns
    -------
    PhenotypeTree
        Without the populations that need a marker which the panel lacks, and all within them.
    """
    words: dict[str, tuple[Signs, ...]] = {}
    skipped: dict[str, str] = {}
    for name, population in vocabulary.items():
        judged = [(word, word.in_panel(markers)) for word in population.phenotype]
        lacking = [word.markers for word, signs in judged if not signs and not word.optional]
        if lacking:
            skipped[name] = f"the panel lacks {', '.join(map(' or '.join, lacking))}"
        elif any(signs for _, signs in judged):
            # "CD19+>CD20+ CD19+>HLA-DR+?" says one thing twice where the panel has CD19.
            words[name] = tuple(dict.fromkeys(signs for _, signs in judged if signs))
    parts: dict[str | None, list[str]] = {None: []}
    for name in list(words):
        _, *above = within(name, vocabulary)
        if lost := next((other for other in above if other in skipped), None):
            skipped[name] = f"{lost}, which holds it, cannot be told"
            continue
        holder = next((other for other in above if other in words), None)
        parts.setdefault(holder, []).append(name)
    kept = {name: words[name] for name in words if name not in skipped}
    return PhenotypeTree({k: tuple(v) for k, v in parts.items()}, kept, skipped)
