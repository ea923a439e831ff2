"""Hard studies: what biocross says of each variant of `config/simulation/variants`.

    python tests/validation/variants.py [--variants name ...] [--write]

Every study goes from FCS files to the report, in one process; about 20 seconds each.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from document import document_table, write_between
from validation.statements import STATEMENTS, Verdict, nothing_planted
from validation.told_run import Told, tell
from validation.whole_run import (
    ROOT,
    STUDIES,
    Run,
    describe,
    evaluate,
    find_changes,
    gate,
    prepare,
    silence,
    simulate,
)

from biocross.cohort.checks import load_cohort
from biocross.cohort.config import complete_config
from biocross.errors import ConfigError
from biocross.simulate.description import merge
from biocross.simulate.sheets import write_sheets

BEGIN, END = "<!-- hard studies: begin -->", "<!-- hard studies: end -->"
SEED = 1
# What a user of such a study writes into its configuration.
TOLD: dict[str, dict[str, Any]] = {
    "selection": {"design": {"selected_on": ["eosinophils_per_ul"]}},
    "steroid_taper": {"statistics": {"covariates": ["ocs_mg_day"]}},
}
# Another strategy, as changes of the lines of config/gating.yaml.
FCERI_BORDER = "  FceRI: {method: valley, estimate_on: leukocytes}\n"
OTHER_GATES: dict[str, Sequence[tuple[str, str]]] = {
    "batch_offset": [("scope: patient", "scope: cohort")],
    "omalizumab": [
        ("CD303-? CD123- HLA-DR-?", "CD303-? FceRI- HLA-DR-?"),
        ("  # Parts of a lineage", f"{FCERI_BORDER}\n  # Parts of a lineage"),
    ],
    "masked_epitope": [
        ("SSC-A+ Siglec-8+ CD66b+?", "SSC-A+ CD125+ CD66b+?"),
        (
            "  # Parts of a lineage",
            "  CD125: {method: valley, estimate_on: leukocytes}\n\n  # Parts of a lineage",
        ),
    ],
}
MASKED = "masked_epitope"
# One study without any change may make a claim by chance: several tell more.
NULLS, NULL_SEEDS = ("null", "heavy_tails"), range(1, 4)
VARIANTS = ("null", *STATEMENTS, MASKED, "heavy_tails")


def take(name: str, folder: Path, seed: int = SEED, changes: Any = None) -> Told:
    """Take a variant from its description to its report.

    Parameters
    ----------
    name
        Of a file of ``config/simulation/variants``.
    folder
        Receives everything.
    seed
        Of the study.
    changes
        Entries of the description that are replaced.

    Returns
    -------
    Told
        What the run says of it.
    """
    with silence():
        run = configured(simulate(describe(f"variants/{name}", changes or {}), folder, seed), name)
        prepare(run)
        return finish(run)


def finish(run: Run) -> Told:
    """Gate, count, test and report a run whose files are prepared."""
    gate(run)
    find_changes(run, clusters=False)
    evaluate(run, clusters=False)
    return tell(run)


def configured(run: Run, name: str) -> Run:
    """Tell a run what its user knows."""
    return run._replace(config=complete_config(merge(run.config, TOLD.get(name, {}))))


def take_otherwise(name: str, run: Run) -> Told | None:
    """Gate the same events by another strategy, as somebody might; None where there is none."""
    if name not in OTHER_GATES:
        return None
    folder = run.folder / "otherwise"
    folder.joinpath("run").mkdir(parents=True)
    for shared in ("run/events", "run/quality", "run/transforms.tsv", "run/samples.tsv", "truth"):
        folder.joinpath(shared).symlink_to(run.folder / shared)
    folder.joinpath("run", "pairs.tsv").symlink_to(run.path("pairs.tsv"))
    inputs = {"gating": str(other_gates(name, folder)), "drug_markers": run.inputs["drug_markers"]}
    with silence():
        return finish(run._replace(folder=folder, config=merge(run.config, {"inputs": inputs})))


def other_gates(name: str, folder: Path) -> Path:
    """Write a strategy that differs from the default in some lines."""
    text = (ROOT / "config" / "gating.yaml").read_text(encoding="utf-8")
    for old, new in OTHER_GATES[name]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "gating.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def judge(name: str) -> Verdict:
    """Run a variant and judge what is said of it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name == MASKED:
            return masked_epitope(folder)
        if name in NULLS:
            folders = [folder / str(seed) for seed in NULL_SEEDS]
            for own in folders:
                own.mkdir()
            pairs = zip(folders, NULL_SEEDS, strict=True)
            return nothing_planted([take(name, own, seed) for own, seed in pairs])
        told = take(name, folder)
        return STATEMENTS[name](told, take_otherwise(name, told.run))


def masked_epitope(folder: Path, naive: bool = True) -> Verdict:
    """Ask whether gates by a masked epitope are refused; without the question, what they count."""
    refusal = refused(folder)
    words = "not counted here"
    if naive:
        told = take_unasked(folder)
        row = told.changes("eosinophils").iloc[0]
        words = f"eosinophils fell: odds × {row['effect']:.3f}, p = {row['p_value']:.1g}"
    return Verdict(words, "no file is read", f"error: “{refusal}”", "masks CD125" in refusal)


def refused(folder: Path) -> str:
    """Check the sheets of the study with the masked epitope; return what stops the run."""
    description = STUDIES / "variants" / f"{MASKED}.yaml"
    write_sheets(description, folder, seed=SEED)
    names = ("samples", "patients", "clinical", "panel")
    inputs = {name: str(folder / f"{name}.tsv") for name in names}
    inputs |= {"folder": str(folder), "gating": str(other_gates(MASKED, folder))}
    design = {"levels": ["baseline", "month_4"]}
    simulated = {"study": str(description)}
    config = {"inputs": inputs, "design": design, "simulate": simulated}
    try:
        load_cohort(complete_config(config))
    except ConfigError as error:
        lines = [line.partition(f"{folder}/")[2] for line in str(error).splitlines()]
        return next((line for line in lines if "masks" in line), "")
    return ""


def take_unasked(folder: Path) -> Told:
    """Count by the masked epitope, with the check of drugs switched off."""
    with silence():
        run = simulate(describe(f"variants/{MASKED}"), folder, SEED)
        inputs = {"gating": str(folder / "gating.yaml"), "drug_markers": None}
        run = run._replace(config={**run.config, "inputs": {**run.config["inputs"], **inputs}})
        prepare(run)
        return finish(run)


def write(verdicts: Mapping[str, Verdict]) -> None:
    """Replace the table of the document."""
    rows = [
        [name, v.naive, v.found, v.says, "yes" if v.passed else "**no**"]
        for name, v in verdicts.items()
    ]
    header = ("variant", "a naive analysis", "biocross found", "and says", "as it should")
    write_between((BEGIN, END), document_table(header, rows))


def main() -> int:
    """Run the variants, print what is said, and write the table into the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    verdicts = {}
    for name in arguments.variants:
        verdicts[name] = judge(name)
        print(name, *verdicts[name], sep="\n  ")
    if arguments.write:
        write(verdicts)
    return 0 if all(verdict.passed for verdict in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
