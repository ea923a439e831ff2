from pathlib import Path

from biocross.simulate.cohort import simulate_cohort
from biocross.workflow import logged

with logged(snakemake):
    simulate_cohort(
        study=Path(snakemake.input.study),
        samples=Path(snakemake.input.samples),
        patients=Path(snakemake.input.patients),
        out_dir=Path(snakemake.output.effects).parent,
        seed=snakemake.params.seed,
    )
