"""List and plan 80,000 synthetic repos from a loopback Hub, and do the same the naive way, in the same run.

    python benchmarks/crawl_80k.py                # all of it, a few minutes
    python benchmarks/crawl_80k.py --repos 5000   # quick
    python benchmarks/crawl_80k.py --repos 200000 --malformed 5 --ours   # with 5 % of entries that nobody can read

Every measured part runs in a process of its own (peak memory is that process's), the server in another. The
naive ways are `HfApi.list_models` with the same expanded fields, collected into a list as its documentation shows,
and one `HfApi.model_info` per repo, done for a sample and multiplied. Loopback has no latency, so the time that the
real Hub's quota imposes is printed beside: 1,000 API requests per 5 minutes for a free account.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

QUOTA, WINDOW_S = 1000, 300
SAMPLE = 300
BASES = (
    "stabilityai/stable-diffusion-xl-base-1.0",
    "black-forest-labs/FLUX.1-dev",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-3.5-large",
)


MALFORMED: tuple[dict[str, Any], ...] = (
    {"entry_drop": ("sha",)}, {"entry_drop": ("id", "modelId")}, {"entry_patch": {"id": {"$ne": None}}},
    {"entry_patch": {"sha": "HEAD"}}, {"entry_patch": {"siblings": "README.md"}},
    {"entry_patch": {"siblings": [{"rfilename": 7}]}}, {"entry_patch": {"siblings": [{"rfilename": "x" * 5000}]}},
    {"entry_patch": {"id": "../../etc/passwd"}}, {"entry_patch": {"siblings": [None]}},
)  # fmt: skip
"""What makes a list entry unusable."""


def is_malformed(number: int, percent: int) -> bool:
    """Whether this repo's entry is one of the broken ones."""
    return number % 100 < percent


def synthetic(number: int, malformed: int = 0) -> Any:
    """One repo of the size of real ones: 8 files, 12 tags, a card with widget prompts."""
    from auditor.pocket.hub_server import synthetic_repo

    draw = hashlib.sha256(str(number).encode()).digest()
    base = BASES[draw[0] % len(BASES)]
    name = f"style-{number:06d}"
    files: dict[str, bytes | int] = {
        "README.md": 4_000,
        f"{name}.safetensors": 150_000_000 + number,
        ".gitattributes": 1_500,
        **{f"images/example_{i}.png": 900_000 for i in range(5)},
    }
    if draw[1] % 4 == 0:
        files |= {f"{name}-{step:06d}.safetensors": 150_000_000 for step in (500, 1000)}
    prompt = f"a portrait of a woman in the {name} manner, soft light, detailed, high quality, 35 mm photograph"
    card = {
        "base_model": base,
        "instance_prompt": name,
        "license": "other",
        "pipeline_tag": "text-to-image",
        "widget": [{"text": f"{prompt}, {i}", "output": {"url": f"images/example_{i}.png"}} for i in range(5)],
        "tags": ["text-to-image", "lora", "diffusers", "template:sd-lora", "art", "style", f"artist-{draw[2]}"],
    }
    day, second = number % 28 + 1, number % 86_400
    stamp = f"2025-0{number % 9 + 1}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z"
    broken = MALFORMED[number // 100 % len(MALFORMED)] if is_malformed(number, malformed) else {}
    return synthetic_repo(
        f"artist-{number % 977:03d}/{name}",
        files,
        card=card,
        createdAt=stamp,
        lastModified=stamp,
        downloads=draw[3],
        library_name="diffusers",
        **broken,
    )


def giants() -> list[Any]:
    """A repo of 5,000 files, and one whose card has 64 MB."""
    from auditor.pocket.hub_server import synthetic_repo

    files = {f"{folder}/step-{step:05d}.safetensors": 10_000_000 for folder in range(50) for step in range(100)}
    card = {"base_model": BASES[0], "widget": [{"text": "x" * 1_000_000} for _ in range(64)]}
    fields = {"tags": ("lora", "text-to-image"), "createdAt": "2025-01-01T00:00:00.000Z"}
    return [
        synthetic_repo("giant/files", files, card={"base_model": BASES[0]}, **fields),
        synthetic_repo("giant/card", {"x.safetensors": 10_000_000}, card=card, **fields),
    ]


def run_server(repos: int, malformed: int, with_giants: bool, pipe: Connection) -> None:
    """Serve until told to stop; answer `count` with the requests so far."""
    from auditor.pocket.hub_server import HubIndex, serve

    index = HubIndex(synthetic(number, malformed) for number in range(repos))
    index.add(giants() if with_giants else [])
    with serve(index) as hub:
        pipe.send(hub.endpoint)
        while pipe.recv() == "count":
            pipe.send(len(hub.requests))


def crawl(endpoint: str, folder: str) -> dict[str, Any]:
    """Ours: raw pages to disk, then the listing."""
    from auditor.hub.client import connect
    from auditor.hub.crawler import crawl as crawl_hub
    from auditor.hub.queries import Query

    report = crawl_hub(connect(endpoint), [Query(("lora", "text-to-image"))], Path(folder))
    assert report.complete
    return {"repos": report.repos, "malformed": report.quarantined, "MB received": round(report.received / 1e6)}


def plan(endpoint: str, folder: str) -> dict[str, Any]:
    """Ours: listing to manifest, without a request."""
    from auditor.hub.facts import FileFacts
    from auditor.hub.listing_file import iter_listing
    from auditor.hub.union import listing_path
    from auditor.planning.manifest import UNUSED_FIELDS, write_manifest
    from auditor.planning.manifest import plan as make_plan
    from auditor.settings import resolve

    bases = resolve(profile="hub", environment={}).settings.recipe.active_bases
    listing = iter_listing(listing_path(Path(folder)), without=UNUSED_FIELDS)
    made = make_plan(listing, bases, facts=FileFacts(Path(folder) / "facts"))
    write_manifest(Path(folder) / "manifest", made)
    return {"repos": len({item.repo_id for item in made.items}), "files": len(made.items), "settled": len(made.settled)}


def list_objects(endpoint: str, folder: str) -> dict[str, Any]:
    """Naive: the library's objects in a list."""
    from huggingface_hub import HfApi

    from auditor.hub.queries import EXPAND

    listed = list(
        HfApi(endpoint=endpoint, token=False).list_models(filter=["lora", "text-to-image"], expand=list(EXPAND))
    )
    return {"repos": len(listed)}


def info_each(endpoint: str, folder: str) -> dict[str, Any]:
    """Naive: one `model_info` per repo, for a sample."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token=False)
    ids = [f"artist-{number % 977:03d}/style-{number:06d}" for number in range(SAMPLE)]
    for repo_id in ids:
        api.model_info(repo_id, files_metadata=True)
    return {"repos": len(ids)}


PARTS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "crawl": crawl,
    "plan": plan,
    "list_models": list_objects,
    "model_info": info_each,
}


def measure(name: str, endpoint: str, folder: str, pipe: Connection) -> None:
    """One part in this process: seconds (imports left out), peak memory, what it says."""
    from huggingface_hub import HfApi  # noqa: F401  both sides import it before the clock starts

    started, cpu = time.monotonic(), time.process_time()
    said = PARTS[name](endpoint, folder)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(
        {"part": name, "seconds": round(seconds, 1), "CPU seconds": round(cpu, 1), "peak MB": round(peak), **said}
    )


def main() -> None:
    """Print one JSON line per part, and the limits of the project for the whole size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repos", type=int, default=80_000)
    parser.add_argument("--malformed", type=int, default=0, metavar="PERCENT", help="entries that cannot be read")
    parser.add_argument("--giants", action="store_true", help="and a repo of 5,000 files, and a card of 64 MB")
    parser.add_argument("--ours", action="store_true", help="leave the naive ways out: they end at a broken entry")
    arguments = parser.parse_args()
    os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    fresh = multiprocessing.get_context("spawn")
    folder = tempfile.mkdtemp(prefix="crawl-")
    ours, theirs = fresh.Pipe()
    server = fresh.Process(
        target=run_server, args=(arguments.repos, arguments.malformed, arguments.giants, theirs), daemon=True
    )
    server.start()
    endpoint = ours.recv()
    print(json.dumps({"repos": arguments.repos, "cores": len(os.sched_getaffinity(0))}))
    before = 0
    extra = 2 * arguments.giants
    expected = sum(is_malformed(number, arguments.malformed) for number in range(arguments.repos))
    try:
        for name in [name for name in PARTS if not arguments.ours or name in ("crawl", "plan")]:
            result, sender = fresh.Pipe(duplex=False)
            worker = fresh.Process(target=measure, args=(name, endpoint, folder, sender))
            worker.start()
            sender.close()
            found = result.recv()
            worker.join()
            ours.send("count")
            count = ours.recv()
            found["requests"], before = count - before, count
            if name == "crawl":
                assert (found["repos"], found["malformed"]) == (arguments.repos + extra - expected, expected), found
            if name == "plan":
                assert found["files"] + found["settled"] >= arguments.repos + extra - expected == found["repos"], found
            if name == "model_info":
                found = extrapolated(found, arguments.repos)
            elif name != "plan":
                found["least minutes by quota"] = quota_minutes(found["requests"])
            print(json.dumps(found), flush=True)
    finally:
        ours.send("stop")
        server.join(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def quota_minutes(requests: int) -> float:
    """Minutes that the real Hub's quota of a free account imposes at least, the first window being free."""
    return math.ceil(max(0, requests - QUOTA) / QUOTA) * WINDOW_S / 60


def extrapolated(found: dict[str, Any], repos: int) -> dict[str, Any]:
    """The sample's figures for all repos; memory is that of the sample only."""
    factor = repos / found["repos"]
    requests = round(found["requests"] * factor)
    return {
        "part": "model_info",
        "measured on": found["repos"],
        "seconds": round(found["seconds"] * factor),
        "requests": requests,
        "least minutes by quota": quota_minutes(requests),
    }


if __name__ == "__main__":
    main()
