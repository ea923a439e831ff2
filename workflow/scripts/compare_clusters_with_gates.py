from biocross.flow.clusters.agreement import compare_clusters_with_gates
from biocross.workflow import logged

with logged(snakemake):
    compare_clusters_with_gates(
        labels=snakemake.input.labels,
        memberships=snakemake.input.memberships,
        annotation=snakemake.input.annotation,
        populations=snakemake.input.populations,
        least_f1=snakemake.params.least_f1,
        agreement_out=snakemake.output.agreement,
        summary_out=snakemake.output.summary,
        confusion_out=snakemake.output.confusion,
    )
