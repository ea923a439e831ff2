"""The cells of the full run and what the design demands of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from validation.scenarios import ABUNDANCE, Cell, Rate

N_PATIENTS = (6, 8, 12, 20)
N_POPULATIONS = (8, 20, 40)
TAILS = ("normal", "t3")
NOISE = ((0.20, 0.10), (0.20, 0.196), (0.27, 0.20))
FOLDS = (1.25, 1.5, 2.0, 3.0)
EOSINOPHILS = (0.05, 0.10, 0.20)
DEPTH_EVENTS = (1, 5, 30)
DEPTH_RATIOS = (3.0, 10.0)
# Of the parent: some 200 events or more in the shallowest parent.
AMPLE = (0.01, 0.4)
PARENT_CENTRE = 31_600  # events, where the other visit is counted 10 times deeper
# Part of `--studies` that a cell gets, where it is not all of them.
PART = {"power": 5, "depth": 5, "depletion": 4, "abolished": 4}

Measured = Mapping[Cell, Mapping[str, Rate]]
CLAIMED_CLASSES = [name for name in ABUNDANCE if name not in ("under 5", "5-20")]


class Requirement(NamedTuple):
    """A demand on one proportion in many cells."""

    text: str
    low: float
    high: float
    rates: Mapping[str, Rate]

    @property
    def extremes(self) -> list[tuple[str, Rate]]:
        """The cells with the smallest and the largest proportion; the one, or none."""
        ordered = sorted(self.rates.items(), key=lambda item: item[1].value)
        return [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered

    @property
    def verdict(self) -> str:
        """Whether all cells lie within the limits, or at least their intervals reach them."""
        rates = self.rates.values()
        if not rates:
            return "not asked"
        if all(self.low <= rate.value <= self.high for rate in rates):
            return "pass"
        if all(rate.low <= self.high and rate.high >= self.low for rate in rates):
            return "within error"
        return "**fail**"


def full_grid() -> list[Cell]:
    """Return every cell of the full run."""
    null = [
        Cell.of("null", n_patients=n, n_populations=k, tails=tails, peers=k == 20)
        for k in N_POPULATIONS
        for n in N_PATIENTS
        for tails in TAILS
    ]
    planted = [
        Cell.of(
            "planted", n_patients=n, n_populations=20, tails=tails, planted_share=0.2, peers=True
        )
        for n in N_PATIENTS
        for tails in TAILS
    ]
    correlated = [
        Cell.of("correlated", n_patients=12, n_populations=20, shared=0.5, planted_share=share)
        for share in (0.0, 0.2)
    ]
    extreme = [
        Cell.of(
            "extreme variances",
            n_patients=n,
            n_populations=40,
            peers=True,
            within_df=2.0,
            within_limits=(0.03, 1.5),
        )
        for n in (6, 8, 20)
    ]
    confirmatory = [Cell.of("confirmatory", n_patients=n, n_populations=20) for n in (8, 12, 20)]
    abolished = [
        Cell.of(
            "abolished",
            n_patients=n,
            n_populations=20,
            planted_share=0.1,
            odds_ratios=(0.01,),
            frequencies=(2e-3, 2e-2),
        )
        for n in (8, 20)
    ]
    return [
        *null,
        *planted,
        *correlated,
        *extreme,
        *confirmatory,
        *power_cells(),
        *depth_cells(),
        *abolished,
        *(
            Cell.of("depletion", n_patients=n, eosinophils=share)
            for share in EOSINOPHILS
            for n in (8, 20)
        ),
    ]


def power_cells() -> list[Cell]:
    """Return the cells of the power curves and of the demand on power."""

    def cell(
        scenario: str, n: int, noise: tuple[float, float], fold: float, missing: float
    ) -> Cell:
        return Cell.of(
            scenario,
            n_patients=n,
            n_populations=20,
            planted_share=0.2,
            odds_ratios=(fold, 1 / fold),
            within_sd=noise[0],
            staining_sd=noise[1],
            missing=missing,
            frequencies=AMPLE,
        )

    curves = [
        cell("power", n, noise, fold, 0.15) for noise in NOISE for n in N_PATIENTS for fold in FOLDS
    ]
    demanded = [
        cell("demanded power", 20, noise, 1.5, missing)
        for noise in NOISE[1:]
        for missing in (0.0, 0.15)
    ]
    return [*curves, *demanded]


def depth_cells() -> list[Cell]:
    """Return the cells that compare visits of unequal depth."""
    return [
        Cell.of(
            "depth",
            n_patients=n,
            n_populations=20,
            missing=0.0,
            frequencies=(events / PARENT_CENTRE,) * 2,
            depth_ratio=ratio,
        )
        for events in DEPTH_EVENTS
        for ratio in DEPTH_RATIOS
        for n in (6, 12, 20)
    ]


def requirements(measured: Measured) -> list[Requirement]:
    """Hold the measured proportions against the design's demands.

    Parameters
    ----------
    measured
        Proportions by cell.

    Returns
    -------
    list of Requirement
        In the order of the design.
    """

    def collect(scenarios: str, names: Sequence[str]) -> dict[str, Rate]:
        return {
            f"{label(cell)}{', ' + name.removeprefix('type I, ') if len(names) > 1 else ''}": rate
            for cell, rates in measured.items()
            if cell.scenario in scenarios.split("|")
            for name in names
            if (rate := rates.get(name)) is not None
        }

    claimed = [f"type I, {name} events" for name in CLAIMED_CLASSES]
    rare = [f"type I, {name} events" for name in ABUNDANCE if name not in CLAIMED_CLASSES]
    rows = [
        Requirement("type I error, every abundance class", 0.03, 0.07, collect("null", claimed)),
        Requirement(
            "type I error under 20 events (shown, nothing claimed)",
            0.03,
            0.07,
            collect("null", rare),
        ),
        Requirement(
            "type I error, most variable fifth",
            0,
            0.08,
            collect("null", ["type I, most variable fifth"]),
        ),
        Requirement(
            "any claim in a null exploratory family",
            0,
            0.075,
            collect("null|correlated", ["any claim, exploratory"]),
        ),
        Requirement(
            "any claim in the null confirmatory family (2 treatments × 2 visits)",
            0,
            0.075,
            collect("confirmatory", ["any claim"]),
        ),
        Requirement(
            "coverage of the 95 % interval, nothing changed",
            0.93,
            0.97,
            collect("null", ["coverage"]),
        ),
        Requirement(
            "coverage of the 95 % interval, changed populations",
            0.93,
            0.97,
            collect("planted", ["coverage, changed"]),
        ),
        *(
            Requirement(
                f"FDR, {family} family", 0, 0.05, collect("planted|correlated", [f"FDR, {family}"])
            )
            for family in ("exploratory", "confirmatory")
        ),
    ]
    return rows + _power_requirements(measured)


def _power_requirements(measured: Measured) -> list[Requirement]:
    rows = []
    for cell, rates in measured.items():
        if cell.scenario != "demanded power":
            continue
        settings = cell.options()
        noise = (settings["within_sd"] ** 2 + settings["staining_sd"] ** 2) ** 0.5
        missing = (
            f"{100 * settings['missing']:.0f} % missing" if settings["missing"] else "complete"
        )
        for family in ("exploratory", "confirmatory"):
            rows.append(
                Requirement(
                    f"power for × 1.5, n 20 ({missing}), SD {noise:.2f} per visit, {family}",
                    0.90 if noise <= 0.281 else 0.69,
                    1.0,
                    {label(cell): rates[name] for name in [f"power, {family}"] if name in rates},
                )
            )
    return rows


def label(cell: Cell) -> str:
    """Name the patients, populations and tails of a cell."""
    settings = cell.options()
    parts = [f"n {settings['n_patients']}"]
    if "n_populations" in settings:
        parts.append(f"K {settings['n_populations']}")
    if "tails" in settings:
        parts.append(str(settings["tails"]))
    if settings.get("shared"):
        parts.append("correlated")
    return ", ".join(parts)


def pick(measured: Measured, scenario: str, **wanted: Any) -> list[tuple[Cell, Mapping[str, Rate]]]:
    """Find the cells of a scenario that have these settings."""
    return [
        (cell, rates)
        for cell, rates in measured.items()
        if cell.scenario == scenario and wanted.items() <= cell.options().items()
    ]
