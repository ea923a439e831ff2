"""What is known of the markers of blood cells: which exclude each other, which go together.

The rules hold in whole blood and in PBMC, in health and in asthma under its drugs; their limits
leave room for doublets, sticky dead cells and compensation.
"""

from typing import NamedTuple

from biocross.cohort.strategy import parse_phenotype

SCATTER = "SSC-A"


class Rule(NamedTuple):
    """One fact about blood cells.

    Parameters
    ----------
    kind
        ``apart``: of the rarer of two markers' cells, at most `limit` bear both. ``on``: of
        `cells`, at least `limit` bear any of the markers. ``free``: of `cells`, at most `limit` do.
        ``brighter``: the first marker separates `cells` from `others` better than the second
        (their areas under the ROC curve differ by at most `limit` the wrong way). ``larger``: the
        marker's area under that curve is at least `limit`.
    markers
        Standard names.
    limit
        A share.
    cells, others
        Phenotypes; empty for all events.
    """

    kind: str
    markers: tuple[str, ...]
    limit: float
    cells: str = ""
    others: str = ""

    @property
    def name(self) -> str:
        """The rule in a few words."""
        where = f" of {self.cells}" if self.cells else ""
        match self.kind:
            case "apart":
                return f"{self.markers[0]} and {self.markers[1]} on different cells{where}"
            case "on":
                return f"{' or '.join(self.markers)} on {self.cells}"
            case "free":
                return f"no {self.markers[0]} on {self.cells}"
            case "larger":
                return f"{self.markers[0]} of {self.cells} above that of {self.others}"
        return f"{self.markers[0]} above {self.markers[1]} on {self.cells}"

    @property
    def expected(self) -> str:
        """What the observed share should be."""
        if self.kind in ("on", "larger"):
            return f"at least {self.limit:g}"
        return f"at most {self.limit:g}"

    @property
    def names(self) -> frozenset[str]:
        """Every marker that the rule rests on."""
        return self.divided | frozenset(self.markers)

    @property
    def divided(self) -> frozenset[str]:
        """The markers whose events must fall into negative and positive ones."""
        words = parse_phenotype(f"{self.cells} {self.others}")
        by_level = self.kind in ("brighter", "larger")
        return frozenset((*(() if by_level else self.markers), *(name for name, _ in words)))

    def is_broken(self, observed: float) -> bool:
        """Whether a share contradicts the rule; NaN contradicts nothing."""
        if self.kind in ("on", "larger"):
            return observed < self.limit
        return observed > self.limit


def _apart(marker: str, *others: str) -> list[Rule]:
    return [Rule("apart", (marker, other), 0.4) for other in others]


# Lineage antigens: van Dongen 2012, Leukemia 26:1908 (EuroFlow panels); Maecker 2012, Nat Rev
# Immunol 12:191 (HIPC panels). Monocytes: Ziegler-Heitbrock 2010, Blood 116:e74. Siglec-8: Kikly
# 2000, J Allergy Clin Immunol 105:1093 (eosinophils and basophils). CRTH2: Nagata 1999, J Immunol
# 162:1278. Side scatter: lymphocytes lie below monocytes and granulocytes in every preparation.
# CD4 is dim on monocytes (Filion 1990, Clin Exp Immunol 79:436), and CD8 on a part of NK cells
# (Perussia 1983, J Immunol 131:223): the only traces that tell CD4 from CD8.
# Left out because drugs, disease or activation break them: CD20 and CD19 (depletion leaves few
# cells, which MIN_SHARE skips), HLA-DR on T cells, CD123 on eosinophils, FceRI under omalizumab,
# CD56 on monocytes (activation), CRTH2 on CD8 T cells (most CRTH2+ cells once eosinophils and
# basophils are gone may be T cells), CD16 on CD56+ cells (the valley may lie between NK cells dim
# and bright for CD56), and whatever demands that eosinophils exist.
RULES = (
    *_apart("CD3", "CD14", "CD19", "CD20", "CD33", "CD66b", "CD15", "Siglec-8", "CD123"),
    *_apart("CD3", "IgM", "IgD", "CD11c", "CD64"),
    *_apart("CD19", "CD14", "CD56", "CD7", "CD66b", "CD15", "Siglec-8", "CD123", "CD33"),
    *_apart("CD19", "CD16", "CD127", "CRTH2", "CD4", "CD8"),
    *_apart("CD20", "CD14", "CD56", "CD7", "CD66b", "CD15", "Siglec-8", "CD123", "CD33", "CD4"),
    *_apart("CD14", "CD7", "CD66b", "Siglec-8", "CD127", "CRTH2", "CD8"),
    *_apart("CD56", "CD66b", "Siglec-8", "CD123", "CRTH2"),
    *_apart("CD8", "Siglec-8", "CD123", "CD66b"),
    *_apart("CD127", "CD66b"),
    *_apart("TCRgd", "TCRab", "CD19", "CD20", "CD14"),
    *(
        Rule("larger", (SCATTER,), 0.6, cells=cells, others=others)
        for cells in ("CD14+ CD3-", "CD66b+ CD3-")
        for others in ("CD3+", "CD19+", "CD20+", "CD56+ CD14-", "CD8+", "CD4+ CD14-", "CD127+")
    ),
    Rule("apart", ("CD4", "CD8"), 0.45, cells="CD3+"),
    Rule("apart", ("CD45RA", "CD45RO"), 0.5, cells="CD3+"),
    Rule("on", ("CD4", "CD8"), 0.6, cells="CD3+"),
    Rule("on", ("CD3",), 0.7, cells="TCRab+"),
    Rule("on", ("CD3",), 0.7, cells="TCRgd+"),
    *(Rule("on", (marker,), 0.5, cells="CD3+") for marker in ("CD45", "CD2", "CD5", "CD7")),
    *(Rule("on", ("CD45",), 0.5, cells=f"{marker}+") for marker in ("CD14", "CD19", "CD66b")),
    *(Rule("on", ("HLA-DR",), 0.5, cells=cells) for cells in ("CD19+", "CD20+ CD3-")),
    *(Rule("on", (marker,), 0.5, cells="CD14+ CD3-") for marker in ("CD33", "CD11b", "CD11c")),
    Rule("on", ("HLA-DR",), 0.3, cells="CD14+ CD3-"),  # sepsis and steroids lower it
    Rule("larger", ("CD56",), 0.6, cells="CD16+ CD3- CD14- SSC-A-", others="CD19+ CD3-"),
    Rule("on", ("CD3",), 0.5, cells="CD8+ CD56-"),
    Rule("on", ("CD3",), 0.5, cells="CD4+ CD14-"),
    Rule("free", ("CD14",), 0.6, cells="CD56+ CD3-"),
    *(Rule("free", ("viability",), 0.6, cells=f"{marker}+") for marker in ("CD3", "CD14", "CD45")),
    Rule("brighter", ("CD4", "CD8"), 0.1, cells="CD14+ CD3-", others="CD19+ CD3-"),
    Rule("brighter", ("CD4", "CD8"), 0.1, cells="CD14+ CD3-", others="CD20+ CD3-"),
    Rule("brighter", ("CD8", "CD4"), 0.2, cells="CD56+ CD3- CD14-", others="CD19+ CD3-"),
    Rule("brighter", ("CD56", "CD8"), 0.1, cells="CD16+ CD3- CD14- SSC-A-", others="CD19+ CD3-"),
    Rule("brighter", ("CD3", "CD127"), 0.05, cells="CD8+ CD56-", others="CD19+ CD3-"),
)
