"""A real Slurm on this machine: munged, slurmctld and two slurmd, all state in one folder, loopback only.

The daemons are Debian's, run as root and without systemd. Times are short (5 s to kill, 15 s to lose a node, a
requeue may start after 6 s), so that what takes minutes on a site takes seconds here.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
NODES = ("n1", "n2")
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin")

CONFIG = """\
ClusterName=rig
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PreemptExemptTime=0
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
KillWait=5
SlurmdTimeout=15
SlurmctldTimeout=15
BatchStartTimeout=10
MessageTimeout=10
MinJobAge=300
InactiveLimit=0
ReturnToService=2
JobRequeue=1
RequeueExit=75
MaxArraySize={max_array_size}
MaxJobCount={max_job_count}
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.txt
{nodes}
PartitionName=night Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing_programs() -> list[str]:
    """What is not installed of what the rig needs."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SBIN))
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class Rig:
    """The daemons, their folder, and the commands that talk to them."""

    def __init__(self, folder: Path, *, cpus_per_node: int = 4, max_array_size: int = 11, max_job_count: int = 60):
        self.folder = folder
        self.config = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        ports = _free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={cpus_per_node} RealMemory=100000 State=UNKNOWN"
            for name, port in zip(NODES, ports[1:], strict=True)
        )
        for name in ("munge", "state", *(f"spool-{n}" for n in NODES)):
            (folder / name).mkdir(parents=True)
        (folder / "munge").chmod(0o711)
        self.config.write_text(
            CONFIG.format(
                host=socket.gethostname(),
                folder=folder,
                controller_port=ports[0],
                nodes=nodes,
                max_array_size=max_array_size,
                max_job_count=max_job_count,
            )
        )
        # The path has an own folder for this: cgroup.conf and others are looked for beside slurm.conf.
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))},
            "SLURM_CONF": str(self.config),
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), *_SBIN)),
        }

    def start(self) -> None:
        """Start everything and wait until both nodes are idle."""
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o600)
        self._spawn(
            "munged",
            [
                "munged",
                "--foreground",
                "--force",
                f"--key-file={key}",
                f"--socket={self.folder}/munge/socket",
                f"--pid-file={self.folder}/munge/pid",
                f"--log-file={self.folder}/munge/log",
                f"--seed-file={self.folder}/munge/seed",
                "--num-threads=2",
            ],
        )
        self.wait_for("munged", lambda: (self.folder / "munge" / "socket").exists(), 20)
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait_for("idle nodes", lambda: set(self.nodes().values()) == {"idle"}, 60)

    def start_controller(self) -> None:
        """Start slurmctld, from its saved state if there is one."""
        self._spawn("slurmctld", ["slurmctld", "-D", "-f", str(self.config)])
        self.wait_for("slurmctld", lambda: self._run(["scontrol", "ping"], timeout=20).returncode == 0, 40)

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        self._spawn(node, ["slurmd", "-D", "-N", node, "-f", str(self.config)])

    def kill(self, daemon: str) -> None:
        """Kill a daemon (`slurmctld`, `n1`, `n2`) with SIGKILL; its jobs' processes live on."""
        process = self._daemons.pop(daemon)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Cancel what runs, stop the daemons, and kill what they leave."""
        if "slurmctld" in self._daemons:
            self._run(["scancel", "--user=root"], timeout=20)
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline and self.squeue():
                time.sleep(0.3)
        for name in ("n1", "n2", "slurmctld", "munged"):
            if (process := self._daemons.pop(name, None)) is not None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for pid in self._stray_processes():
            os.kill(pid, signal.SIGKILL)

    def nodes(self) -> dict[str, str]:
        """State of every node, by name."""
        done = self._run(["sinfo", "-h", "-N", "-p", "night", "-o", "%N %t"])
        return dict(line.split() for line in done.stdout.splitlines())

    def squeue(self) -> dict[str, str]:
        """State of every job that is not finished, array tasks one by one, by `job` or `job_task`."""
        done = self._run(["squeue", "-h", "-r", "-o", "%i %T"])
        return dict(line.split() for line in done.stdout.splitlines())

    def run(self, *command: str, timeout: float = 60, **environment: str) -> str:
        """Run a command against this cluster and return its stdout."""
        done = self._run(list(command), timeout=timeout, **environment)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Poll until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not after {seconds:.0f} s; {self.squeue()}; logs in {self.folder}")
            time.sleep(0.2)

    def _spawn(self, name: str, command: list[str]) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self._daemons[name] = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            start_new_session=True,
        )

    def _run(self, command: list[str], timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _stray_processes(self) -> list[int]:
        """Processes (zombie tasks, slurmstepd) that carry this rig's SLURM_CONF or folder and are not us."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.folder).encode() in known:
                    found.append(int(entry.name))
        return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports
