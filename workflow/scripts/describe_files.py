from pathlib import Path

from biocross.cohort.checks import load_cohort
from biocross.cohort.config import complete_config
from biocross.cohort.instruments import describe_files
from biocross.cohort.panel import load_panel
from biocross.workflow import logged

with logged(snakemake):
    config = complete_config(snakemake.config)
    describe_files(
        samples=load_cohort(config).of_modality("flow"),
        panel=load_panel(Path(snakemake.input.panel)),
        folder=config["inputs"]["folder"],
        files_out=snakemake.output.files,
        channels_out=snakemake.output.channels,
    )
