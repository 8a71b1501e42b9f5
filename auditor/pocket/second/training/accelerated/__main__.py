"""Train the whole pocket world on one GPU within a budget of seconds.

    python -m auditor.pocket.second.training.accelerated --out OUT --work WORK --seconds 400

Models train side by side on the one GPU, each for its share of the time; what is done is written at once, so that a
run that is cut off leaves what it has. OUT gets one tar per model, `effects.tar` and `adapters*.tar`, which `packing`
takes apart. `--from auditor/pocket/second/weights` keeps that CLIP and VAE and goes on with the denoiser alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from auditor.pocket.second import corpus
from auditor.pocket.second.training.accelerated import models, naming, packing, teaching
from auditor.pocket.second.training.accelerated.paced import wait_for

PICTURES = 160_000
CASES = 20_000
SHARES = {"base": 0.5, "clip": 0.5, "vae": 0.25, "adapters": 0.65, "recipes": 1.0, "vlm": 0.55}
"""Of the seconds that are left when a job starts: the models after the pictures, the others after the models."""


def _start(job: str, arguments: argparse.Namespace, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "auditor.pocket.second.training.accelerated",
               "--job", job, "--seconds", f"{seconds:.1f}",
               "--work", str(arguments.work), "--out", str(arguments.out), "--pictures", str(arguments.pictures),
               "--cases", str(arguments.cases)]  # fmt: skip
    if arguments.smoke:
        command.append("--smoke")
    if arguments.start:
        command += ["--from", str(arguments.start)]
    log = (arguments.out / f"{job}.log").open("wb")
    print(f"{job} starts, {seconds:.0f} s", file=sys.stderr, flush=True)
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def _job(arguments: argparse.Namespace) -> None:
    work, weights, seconds, count = arguments.work, arguments.work / "weights", arguments.seconds, arguments.pictures
    smoke = arguments.smoke
    if arguments.job == "clip":
        models.train_clip(work, weights, count, seconds, *([32] if smoke else []))
    elif arguments.job == "vae":
        models.train_vae(work, weights, count, seconds, *([8] if smoke else []))
    elif arguments.job == "base":
        models.train_base(
            work, weights, count, seconds, 8 if smoke else 256, arguments.start / "base" if arguments.start else None
        )
    elif arguments.job == "cases":
        naming.render_cases(work, arguments.cases)
    elif arguments.job == "recipes":
        teaching.train_recipes(work, weights)
    elif arguments.job == "adapters":
        lessons = teaching.smoke_lessons() if smoke else None
        teaching.train_adapters(work, weights, seconds, lessons, 4 if smoke else 48)
    elif arguments.job == "vlm":
        naming.train_vlm(work, weights, seconds, *([8, 4] if smoke else []))


def _wait(jobs: list[subprocess.Popen[bytes]], until: float) -> None:
    for job in jobs:
        try:
            job.wait(max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{job.args!r} is not done in time", file=sys.stderr, flush=True)


def _drive(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    until = began + arguments.seconds
    arguments.out.mkdir(parents=True, exist_ok=True)
    corpus.build(arguments.work / "corpus", arguments.pictures, seed=1)
    corpus.build(arguments.work / "corpus", 2000, models.HELD_OUT_SEED)
    print(f"pictures drawn, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    left = until - time.monotonic() - 30  # for starting twice and packing
    jobs = ["base"] if arguments.start else ["base", "clip", "vae"]
    for kept in ("clip", "base/vae") if arguments.start else ():
        shutil.copytree(arguments.start / kept, arguments.work / "weights" / kept, dirs_exist_ok=True)
    first = [_start(job, arguments, left * SHARES[job]) for job in jobs]
    cases = _start("cases", arguments, left)
    _wait([*first, cases], began + arguments.seconds * 0.75)
    wait_for(arguments.work / "base.done", 5)
    packing.pack_weights(arguments.work, arguments.out)
    left = until - time.monotonic() - 15
    second = [_start(job, arguments, left * SHARES[job]) for job in ("adapters", "recipes", "vlm")]
    while any(job.poll() is None for job in second) and time.monotonic() < until - 6:
        time.sleep(4)
        if (until - time.monotonic()) % 16 < 4:  # now and then, so that a run that is cut off leaves something
            packing.pack_adapters(arguments.work, arguments.out)
    for job in (*first, cases, *second):
        if job.poll() is None:
            job.kill()
    packing.pack_weights(arguments.work, arguments.out)
    packing.pack_adapters(arguments.work, arguments.out)
    print(f"packed, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Drive the whole run, or do one job of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--smoke", action="store_true", help="tiny batches and few adapters, to see that all parts run")
    parser.add_argument("--from", dest="start", type=Path, help="weights folder whose denoiser to go on from")
    parser.add_argument("--job", help="one job; the driver starts them")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.job:
        _job(arguments)
    else:
        _drive(arguments)


if __name__ == "__main__":
    main()
