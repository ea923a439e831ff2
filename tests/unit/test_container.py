"""The recipe of the container: nothing else here can read it, as there is no Docker."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RECIPE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
STEPS = [tuple(line.split(" ", 1)) for line in RECIPE.splitlines() if re.match(r"[A-Z]+ ", line)]
RULES = set(
    re.findall(
        r"^ *rule (\w+):",
        "\n".join(file.read_text() for file in (ROOT / "workflow" / "rules").glob("*.smk")),
        re.M,
    )
)


def test_everything_copied_is_there_and_let_through():
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert sent[0] == "*"
    for instruction, rest in STEPS:
        if instruction == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in sent


def test_packages_are_those_of_the_lock_and_of_no_other_place():
    installs = [rest for name, rest in STEPS if name == "RUN" and "pip install" in rest]
    assert "--require-hashes -r requirements.lock" in installs[0]
    # What is no part of the lock comes from the project itself.
    assert all("--no-index" in rest and "--no-deps" in rest for rest in installs[1:])
    assert "://" not in RECIPE


def test_it_runs_as_nobody_in_particular_and_writes_to_tmp():
    names = [name for name, _ in STEPS]
    assert names.count("FROM") == 1
    assert ("USER", "biocross") in STEPS
    assert names.index("USER") > max(n for n, name in enumerate(names) if name == "RUN")
    settings = dict(re.findall(r"(\w+)=(\S+)", next(rest for name, rest in STEPS if name == "ENV")))
    for name in ("HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        assert settings[name].startswith("/tmp")


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_profiles_group_rules_that_exist(name):
    profile = yaml.safe_load((ROOT / "workflow" / "profiles" / name / "config.yaml").read_text())
    assert profile["retries"] >= 1
    assert set(profile["groups"]) <= RULES
    assert set(profile["group-components"]) <= set(profile["groups"].values())


def test_every_rule_asks_for_time_and_memory_that_grow():
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        rules = re.split(r"^ *rule \w+:", file.read_text(), flags=re.M)[1:]
        for rule in rules:
            assert re.search(r"^ *runtime=minutes\(\d+\),", rule, re.M), rule[:200]
            assert re.search(r"mem_mb=(memory|lambda [\w, ]+: attempt\b)", rule), rule[:200]
