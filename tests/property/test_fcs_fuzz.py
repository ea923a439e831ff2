"""However HEADER and TEXT are damaged, a file gets a sentence or is read in the right shape."""

import random
import re
import time
import tracemalloc

import numpy as np
import pytest
from fcs_bytes import bit_stream, floats, integers, make_fcs

from biocross.errors import FcsError
from biocross.flow.fcs import read_fcs

N_MUTATIONS = 2000
LONGEST_SECONDS = 2.0
MOST_BYTES = 100e6
LARGEST_REAL_FILE = 200_000
NUMBERS = re.compile(
    rb"\$(?:TOT|PAR|NEXTDATA|BEGIN\w+|END\w+|P\d+[BREG])[^\w.]+([\d., ]+)", re.IGNORECASE
)


def made_files():
    """Return small files of every layout."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 1024, size=(60, 4)).tolist()
    spill = "2,C1,C2,1,0.1,0.2,1"

    def channels(width):
        return [{"N": f"C{n}", "B": width, "R": 1024, "E": "0,0", "S": f"CD{n}"} for n in range(4)]

    mixed = [dict(one, B=width) for one, width in zip(channels(0), (8, 16, 24, 32), strict=True)]
    logs = [dict(one, E="4,1") for one in channels(16)]
    types = [dict(one, DATATYPE=kind) for one, kind in zip(channels(32), "FIDF", strict=True)]
    small = [[value % 256 for value in row] for row in values]
    more = make_fcs(floats(values, "FFFF", False), 60, channels(32))
    return [
        make_fcs(floats(values, "FFFF", False), 60, channels(32), SPILLOVER=spill, TIMESTEP="0.01"),
        make_fcs(floats(values, "DDDD", True), 60, channels(64), datatype="D", byteord="4,3,2,1"),
        make_fcs(integers(values, [16] * 4, False), 60, logs, datatype="I", version="2.0"),
        make_fcs(integers(small, (8, 16, 24, 32), True), 60, mixed, datatype="I", byteord="2,1"),
        make_fcs(bit_stream(values, [10] * 4, False), 60, channels(10), datatype="I"),
        make_fcs(floats(values, "FIDF", False), 60, types, version="3.2", delimiter="|"),
        make_fcs(floats(values, "FFFF", False), 60, channels(32), NEXTDATA=4096, after=more),
    ]


def real_files(folder):
    files = (p for p in sorted(folder.glob("*/*")) if p.is_file())
    small = (p for p in files if 1000 < p.stat().st_size < LARGEST_REAL_FILE)
    contents = [content for p in small if (content := p.read_bytes())[:3] == b"FCS"]
    return contents[::4]


def text_end(content):
    return int(content[18:26]) + 1


def mutated(content, rng):
    """Damage HEADER and TEXT in one of five ways."""
    content, end = bytearray(content), text_end(content)
    way = rng.choice(("flips", "run", "number", "number", "cut", "filled"))
    place = rng.randrange(rng.choice((58, end)))
    if way == "flips":
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(rng.choice((58, end)))] ^= 1 << rng.randrange(8)
    elif way == "run":
        content[place : place + rng.randint(2, 60)] = rng.randbytes(rng.randint(2, 60))
    elif way == "filled":
        size = rng.randint(2, 60)
        content[place : place + size] = bytes([rng.choice(b"/|9,$- \0\xff")]) * size
    elif way == "cut":
        del content[rng.randrange(len(content)) :]
    else:
        numbers = [match.span(1) for match in NUMBERS.finditer(content, 0, end)]
        first, last = rng.choice([*numbers, (10, 26), (26, 42)])
        for at in range(first, last):
            if content[at : at + 1].isdigit() and rng.random() < 0.5:
                content[at] = rng.choice(b"0123456789")
        if rng.random() < 0.2:
            content[first:last] = rng.choice((b"9" * (last - first), b"-1", b"", b"1e9", b"0"))
    return way, bytes(content)


def damage(contents, tmp_path, n_mutations, seed):
    """Read damaged files one after the other; return what became of them."""
    rng = random.Random(seed)
    path = tmp_path / "damaged.fcs"
    outcomes = {"read": 0, "refused": 0}
    reasons, slowest, most = set(), 0.0, 0
    tracemalloc.start(1)
    try:
        for number in range(n_mutations):
            way, content = mutated(contents[number % len(contents)], rng)
            path.write_bytes(content)
            tracemalloc.reset_peak()
            start = time.perf_counter()
            message = ""
            try:
                file = read_fcs(path)
            except FcsError as error:
                message = str(error)
            if message:
                assert message.startswith(f"{path}: "), (number, way)
                assert message.isprintable(), (number, way, message)
                outcomes["refused"] += 1
                reasons.add(re.sub(r"\d+", "0", message.removeprefix(f"{path}: "))[:25])
            else:
                assert all(repair.note.isprintable() for repair in file.repairs), (number, way)
                shape = (file.n_events, len(file.channels))
                assert file.events.shape == shape, (number, way)
                assert len(file.markers) == len(file.ranges) == shape[1], (number, way)
                assert len(set(file.channels)) == shape[1], (number, way)
                assert file.events.dtype == np.float32, (number, way)
                outcomes["read"] += 1
            slowest = max(slowest, time.perf_counter() - start)
            most = max(most, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert slowest < LONGEST_SECONDS
    assert most < MOST_BYTES
    return outcomes, reasons


def test_damaged_files_of_every_layout(tmp_path):
    outcomes, reasons = damage(made_files(), tmp_path, N_MUTATIONS, seed=7)
    assert min(outcomes.values()) > N_MUTATIONS / 10
    assert len(reasons) > 8


@pytest.mark.data
def test_damaged_real_files(test_data, tmp_path):
    contents = real_files(test_data)
    assert len(contents) > 10
    outcomes, reasons = damage(contents, tmp_path, N_MUTATIONS, seed=8)
    assert min(outcomes.values()) > N_MUTATIONS / 10
    assert len(reasons) > 5


def test_the_undamaged_files_are_read(tmp_path):
    path = tmp_path / "sound.fcs"
    for content in made_files():
        path.write_bytes(content)
        assert read_fcs(path).events.shape == (60, 4)
