from biocross.report.figures.gate_examples import plot_gate_examples
from biocross.workflow import logged, split

with logged(snakemake):
    files, params = snakemake.input, snakemake.params
    patients, n_samples = params.patients, params.n_samples
    plot_gate_examples(
        events=dict(zip(patients, split(files.events, n_samples), strict=True)),
        levels=dict(zip(patients, split(params.levels, n_samples), strict=True)),
        strategy=files.strategy,
        thresholds=files.thresholds,
        populations=files.populations,
        panel=files.panel,
        transforms=files.transforms,
        sensitivity=files.sensitivity,
        figures_out=snakemake.output.examples,
    )
