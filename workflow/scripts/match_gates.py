from biocross.flow.imported.gating import match_gates
from biocross.workflow import logged

with logged(snakemake):
    match_gates(
        gates=snakemake.input.strategy,
        samples=snakemake.params.samples,
        files=snakemake.input.fcs,
        patients=snakemake.params.patients,
        matching_out=snakemake.output.matching,
        moved_out=snakemake.output.moved,
    )
