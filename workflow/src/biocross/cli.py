"""The command `biocross`: start a study, and check its sheets without Snakemake."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from biocross.errors import BiocrossError

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
        return {"init": _init, "check": _check, "gates": _gates}[arguments.command](arguments)
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
    return parser


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
        Path("Snakefile").write_text(_SNAKEFILE, encoding="utf-8")
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


if __name__ == "__main__":
    sys.exit(main())
