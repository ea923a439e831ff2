"""Colours of populations and of other names: the same in every figure and file of a study."""

from collections.abc import Sequence

from biocross.cohort.vocabulary import UNASSIGNED, Vocabulary

# Okabe & Ito's palette, distinct for colour-blind readers.
BASES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B0A000", "#5B3A1E")
# Events without a name, and populations that hold several families.
GREY = "#BDBDBD"
MOST_IN_A_FAMILY = 8
# How much of white (positive) or black is mixed in at the ends of a family; other ends where the
# palette comes again.
ENDS = ((0.55, -0.45), (0.4, -0.6), (0.65, -0.3))


def population_colours(vocabulary: Vocabulary) -> dict[str, str]:
    """Give every population a colour: relatives a hue, and each its own lightness.

    The tree is cut into families of eight at the most, children with their parent where they fit.
    Families take the hues of Okabe and Ito in turn; their members differ by lightness, which
    colour-blind readers see too.

    Parameters
    ----------
    vocabulary
        Of the study. Only it decides: which populations were found does not matter.

    Returns
    -------
    dict of str to str
        ``#rrggbb`` by population, in order of the vocabulary; grey for ``unassigned``.
    """
    colours = dict.fromkeys(vocabulary, GREY)
    for number, family in enumerate(_families(vocabulary)):
        base = BASES[number % len(BASES)]
        lightest, darkest = ENDS[number // len(BASES) % len(ENDS)]
        step = (darkest - lightest) / max(len(family) - 1, 1)
        for place, name in enumerate(family):
            colours[name] = mix(base, lightest + step * place if len(family) > 1 else 0.0)
    return {**colours, UNASSIGNED: GREY}


def category_colours(names: Sequence[str]) -> dict[str, str]:
    """Give names of no tree, such as visits, colours in their order.

    Parameters
    ----------
    names
        In order.

    Returns
    -------
    dict of str to str
        ``#rrggbb`` by name. After eight the palette comes again, darker and lighter.
    """
    shades = (0.0, 0.5, -0.4)
    return {
        name: mix(BASES[i % len(BASES)], shades[i // len(BASES) % len(shades)])
        for i, name in enumerate(names)
    }


def mix(colour: str, amount: float) -> str:
    """Mix a colour with white (amount above 0) or with black (below), by parts up to 1."""
    target = 255 if amount > 0 else 0
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(c + (target - c) * abs(amount)):02X}" for c in parts)


def _families(vocabulary: Vocabulary) -> list[list[str]]:
    """Cut the tree into families; what holds several of them stays grey."""
    children: dict[str | None, list[str]] = {}
    for name, population in vocabulary.items():
        children.setdefault(population.parent, []).append(name)

    def descendants(name: str) -> list[str]:
        return [name, *(one for child in children.get(name, []) for one in descendants(child))]

    families: list[list[str]] = []

    def cut(name: str) -> None:
        inside = descendants(name)
        if len(inside) <= MOST_IN_A_FAMILY:
            families.append(inside)
            return
        below = children.get(name, [])
        leaves = [child for child in below if child not in children]
        for start in range(0, len(leaves), MOST_IN_A_FAMILY):
            families.append(leaves[start : start + MOST_IN_A_FAMILY])
        for child in below:
            if child in children:
                cut(child)

    for root in children.get(None, []):
        cut(root)
    return families
