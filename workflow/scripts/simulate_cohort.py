from pathlib import Path

from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.rna.libraries import simulate_libraries
from biocross.workflow import logged

with logged(snakemake):
    study, samples, patients = (
        Path(snakemake.input[name]) for name in ("study", "samples", "patients")
    )
    out_dir, seed = Path(snakemake.output.effects).parent, snakemake.params.seed
    simulate_cohort(study, samples, patients, out_dir, seed)
    simulate_libraries(study, samples, patients, out_dir, seed)
