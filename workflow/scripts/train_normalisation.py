from biocross.flow.normalisation.normalise import train_normalisation
from biocross.workflow import logged

with logged(snakemake):
    params = snakemake.params
    train_normalisation(
        events=snakemake.input.events,
        batches=params.batches,
        visits=params.visits,
        patients=params.patients,
        roles=params.roles,
        panel=snakemake.input.panel,
        method=params.method,
        goal=params.goal,
        n_clusters=params.n_clusters,
        seed=params.seed,
        functions_out=snakemake.output.functions,
        guard_out=snakemake.output.guard,
    )
