from pathlib import Path

from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.rna.libraries import simulate_libraries
from biocross.workflow import logged

with logged(snakemake):
    sheets = Path(snakemake.input.samples), Path(snakemake.input.patients)
    study, seed = Path(snakemake.input.study[0]), snakemake.params.seed
    out_dir = Path(snakemake.output.clinical).parent
    simulate_cohort(study, *sheets, out_dir, seed, jobs=snakemake.threads)
    simulate_libraries(study, *sheets, out_dir, seed)
