"""A cluster of one: a SLURM node of its own for one command, gone when the command ends.

Run as a script inside namespaces of its own (see `in_slurm`): its network, host name, mounts and
processes are nobody else's, so that it finds no port taken and leaves nothing behind.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

NAME = "biocross"
# SLURM resolves no name on a machine that has only 127.0.0.1.
ADDRESS = "192.0.2.1"
PROGRAMS = ("unshare", "munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child")
SET_FLAGS, SET_ADDRESS, UP = 0x8914, 0x8916, 0x41
CONFIGURATION = f"""
ClusterName={NAME}
SlurmctldHost={NAME}({ADDRESS})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/run/state
SlurmdSpoolDir=/run/spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
MinJobAge=600
SlurmdParameters=config_overrides
NodeName={NAME} NodeAddr={ADDRESS} CPUs=16 RealMemory=64000
PartitionName=all Nodes={NAME} Default=YES State=UP
"""


def in_slurm(folder, command):
    """Return the command that runs another where SLURM is; its logs are in the folder."""
    node = (sys.executable, __file__, folder)
    return ["unshare", *NAMESPACES, "--mount-proc", *map(str, (*node, *command))]


def what_is_missing(folder):
    """Return why no SLURM can be started here, or nothing."""
    if lacking := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"not installed: {', '.join(lacking)} (Debian: slurm-wlm munge)"
    folder.mkdir()
    trial = in_slurm(folder, ["srun", "true"])
    try:
        tried = subprocess.run(trial, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "a job of no work did not end within a minute"
    last = tried.stderr.strip().splitlines()[-1:] or [f"exit code {tried.returncode}"]
    return last[0] if tried.returncode else ""


def run(*command):
    """Run a command that must end well, and soon."""
    subprocess.run([str(word) for word in command], check=True, timeout=20)


def give_addresses():
    """Bring up the loopback interface, with a second address."""
    socket.sethostname(NAME)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh", b"lo", UP))
        place = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(ADDRESS))
        fcntl.ioctl(control, SET_ADDRESS, struct.pack("16s", b"lo:1") + place)


def hide_system_files(folder):
    """Put our own files where SLURM and munge look, for this namespace alone."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("mount", "-t", "tmpfs", "tmpfs", "/etc/slurm")
    for name in ("munge", "state", "spool"):
        Path("/run", name).mkdir(mode=0o755)
    Path("/etc/slurm/slurm.conf").write_text(CONFIGURATION)
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n")
    run("mount", "--bind", hosts, "/etc/hosts")
    key = Path("/run/munge.key")
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)


def start(folder):
    """Start the programs of a cluster and wait until its node takes jobs."""
    logs = {name: folder / f"{name}.log" for name in ("munged", "slurmctld", "slurmd")}
    files = ("--key-file=/run/munge.key", "--pid-file=/run/munge.pid", "--seed-file=/run/seed")
    run("munged", "--force", *files, f"--log-file={logs['munged']}")
    run("slurmctld", "-L", logs["slurmctld"])
    run("slurmd", "-L", logs["slurmd"])
    for _ in range(100):
        states = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False
        )
        if states.stdout.strip() == "idle":
            return
        time.sleep(0.1)
    raise SystemExit(f"SLURM's node takes no jobs: {logs['slurmd'].read_text()[-500:]}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    give_addresses()
    hide_system_files(folder)
    start(folder)
    raise SystemExit(subprocess.call(sys.argv[2:]))
