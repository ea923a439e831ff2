# biocross with all that requirements.lock names, for Docker, Podman, Kubernetes and Apptainer.
# docs/cluster_running.md says how to build and run it.
FROM python:3.11-slim

# The lock first: an edit of the library then keeps the layer that takes minutes to make.
WORKDIR /opt/biocross
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY workflow ./workflow
COPY Snakefile ./
COPY config ./config
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index --editable .

# Whoever runs it, also Apptainer with the user's own name and a root that can't be written to: what
# programs keep for themselves goes to /tmp, results to the folder of the study.
ENV HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_CACHE_HOME=/tmp/cache \
    PYTHONDONTWRITEBYTECODE=1
RUN useradd --no-create-home --uid 1000 biocross && mkdir /study && chown biocross /study
USER biocross
WORKDIR /study
CMD ["snakemake", "--snakefile", "/opt/biocross/Snakefile", "--cores", "all"]
