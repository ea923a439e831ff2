"""The command `biocross`: plan a study, start it, and check its sheets without Snakemake."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from biocross.errors import BiocrossError
from biocross.tables import written_whole

# More of them are one mistake that repeats itself in many rows.
_MOST_QUESTIONS = 20
# The workflow stays where biocross is; a study's folder holds its configuration and results.
_SNAKEFILE = f"""\
# Runs the biocross workflow on the configuration in this folder: snakemake --cores 8
include: "{(Path(__file__).parents[2] / "Snakefile").as_posix()}"


rule all:
    default_target: True
    input:
        rules.everything.input,
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments; those of the process where None.

    Returns
    -------
    int
        0, or 1 where something must be mended.
    """
    arguments = _parser().parse_args(argv)
    try:
        return _COMMANDS[arguments.command](arguments)
    except BiocrossError as error:
        print(f"biocross {arguments.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="biocross", description="Did this treatment change the patients' immune cells?"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    init = commands.add_parser("init", help="propose a configuration from a folder of FCS files")
    init.add_argument("--fcs", type=Path, required=True, metavar="DIR", help="folder of FCS files")
    init.add_argument("--rna", type=Path, metavar="DIR", help="folder of single-cell RNA counts")
    init.add_argument(
        "--out", type=Path, default=Path("config"), metavar="DIR", help="default: %(default)s"
    )
    init.add_argument(
        "--contrast", choices=("visit", "stimulation"), help="what is compared; default: guessed"
    )
    init.add_argument("--force", action="store_true", help="overwrite existing files")
    gates = commands.add_parser(
        "gates", help="propose which gate of a GatingML or FlowJo file is which population"
    )
    gates.add_argument("file", type=Path, help="GatingML 2.0 (.xml) or FlowJo 10 (.wsp)")
    gates.add_argument(
        "--out",
        type=Path,
        default=Path("config/gate_paths.tsv"),
        metavar="FILE",
        help="default: %(default)s",
    )
    gates.add_argument(
        "--populations",
        type=Path,
        default=Path("config/populations.yaml"),
        metavar="FILE",
        help="default: %(default)s",
    )
    check = commands.add_parser("check", help="check configuration and sheets; runs nothing")
    check.add_argument(
        "--config",
        type=Path,
        default=Path("config/config.yaml"),
        metavar="FILE",
        help="default: %(default)s",
    )
    _add_plan(commands.add_parser("plan", help="how many patients do the next studies need?"))
    return parser


def _add_plan(plan: argparse.ArgumentParser) -> None:
    plan.add_argument(
        "--results", type=Path, metavar="DIR", help="of a pilot; default: assumed variation"
    )
    plan.add_argument(
        "--fold",
        type=float,
        nargs="+",
        default=[1.25, 1.5, 2.0],
        metavar="X",
        help="changes of the percentage to find; default: 1.25 1.5 2",
    )
    plan.add_argument(
        "--patients",
        type=int,
        nargs="+",
        default=[6, 8, 10, 12, 16, 20, 30, 40],
        metavar="N",
        help="per treatment, for the table and the figure; default: 6 8 10 12 16 20 30 40",
    )
    plan.add_argument(
        "--missing",
        type=float,
        default=0.15,
        metavar="SHARE",
        help="of patients without a second visit; default: %(default)s",
    )
    plan.add_argument(
        "--events",
        type=float,
        metavar="N",
        help="living single cells per sample; default: as in the pilot, or 500,000",
    )
    plan.add_argument(
        "--family",
        type=int,
        metavar="M",
        help="tests in the confirmatory family; default: as in the pilot, or one per primary "
        "population",
    )
    plan.add_argument("--source", help="what found the cells: gate, cluster, table ...")
    plan.add_argument("--readout", help="percent_of_parent or cells_per_ul")
    plan.add_argument(
        "--populations",
        type=Path,
        metavar="FILE",
        help="names the primary populations; default: config/populations.yaml, or the shipped one",
    )
    plan.add_argument(
        "--out", type=Path, default=Path("plan"), metavar="DIR", help="default: %(default)s"
    )


def _init(arguments: argparse.Namespace) -> int:
    # Imported here, so that `biocross --help` answers at once.
    from biocross.cohort.start import start_study

    proposal = start_study(
        arguments.fcs, arguments.out, arguments.rna, arguments.contrast, arguments.force
    )
    print(*proposal.found, sep="\n")
    written = [*proposal.sheets, *proposal.documents, "populations.yaml"]
    print(f"\nWritten to {arguments.out}: {', '.join(sorted(written))}")
    if proposal.questions:
        print(f"\nOPEN QUESTIONS ({len(proposal.questions)})")
        for number, question in enumerate(proposal.questions[:_MOST_QUESTIONS], 1):
            print(f"  {number}. {question}")
        if len(proposal.questions) > _MOST_QUESTIONS:
            print("  ... biocross check names the others")
    config = arguments.out / "config.yaml"
    if not Path("Snakefile").exists():
        with written_whole("Snakefile") as temporary:
            temporary.write_text(_SNAKEFILE, encoding="utf-8")
        print("Written: Snakefile, which runs the workflow on this folder's configuration")
    named = "" if config == Path("config/config.yaml") else f" --configfile {config}"
    print(f"\nThen: biocross check --config {config}")
    print(f"      snakemake --cores 2{named}")
    return 0


def _gates(arguments: argparse.Namespace) -> int:
    from biocross.flow.imported.propose import propose_sheet

    proposal = propose_sheet(arguments.file, arguments.populations, arguments.out)
    print(f"Written: {arguments.out}, {len(proposal.rows)} gates with a population")
    if proposal.unmapped:
        print(f"\nWithout one ({len(proposal.unmapped)}); add a row for those that you want:")
        for gate, why in proposal.unmapped.items():
            print(f"  {gate}: {why}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from biocross.cohort.report import check

    return check(arguments.config)


def _plan(arguments: argparse.Namespace) -> int:
    from biocross.report.plan_answer import answer_plan
    from biocross.statistics.planning import Wishes

    wishes = Wishes(
        tuple(dict.fromkeys(arguments.fold)),
        tuple(sorted(set(arguments.patients))),
        *(arguments.missing, arguments.events, arguments.family),
    )
    answer = answer_plan(
        wishes,
        arguments.out,
        *(arguments.results, arguments.populations, arguments.source, arguments.readout),
    )
    print(*answer, sep="\n")
    return 0


_COMMANDS = {"init": _init, "check": _check, "gates": _gates, "plan": _plan}

if __name__ == "__main__":
    sys.exit(main())
