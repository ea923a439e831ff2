from pathlib import Path

from biocross.cohort.checks import load_cohort
from biocross.cohort.instruments import describe_files
from biocross.cohort.panel import load_panel
from biocross.workflow import logged

with logged(snakemake):
    describe_files(
        samples=load_cohort(snakemake.config).of_modality("flow"),
        panel=load_panel(Path(snakemake.input.panel)),
        folder=snakemake.params.folder,
        files_out=snakemake.output.files,
        channels_out=snakemake.output.channels,
    )
