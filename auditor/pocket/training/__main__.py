"""Train the whole pocket world from nothing, in order; each step resumes where it stopped.

python -m auditor.pocket.training [--work .auditor/training] [--out auditor/pocket]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def steps(work: Path, out: Path) -> list[list[str]]:
    """The commands, one per model."""
    weights = out / "weights"
    common = ["--work", str(work)]
    return [
        ["auditor.pocket.training.clip", "--out", str(weights / "clip"), *common],
        *(
            ["auditor.pocket.training.clip", "--make", make, "--out", str(weights / make), *common]
            for make in ("siglip", "align")
        ),
        *(
            [
                "auditor.evaluation.rivals.pair_captions",
                *("--rival", rival, "--out", str(weights / "captioners")),
                *common,
            ]
            for rival in ("diff_caption", "chg2cap")
        ),
        ["auditor.pocket.training.vae", "--out", str(weights / "base" / "vae"), *common],
        ["auditor.pocket.training.base", "--out", str(weights / "base"), "--tokenizer", str(weights / "clip"), *common],
        ["auditor.pocket.training.adapters", "--base", str(weights / "base"), "--zoo-only", *common],
        ["auditor.pocket.training.gan", "--out", str(weights / "gan"), *common],
        ["auditor.pocket.training.gan_copies", "--base", str(weights / "gan"), *common],
        ["auditor.pocket.training.image_tokens", *common],
        ["auditor.pocket.training.token_base", "--out", str(weights / "tokens"), *common],
        ["auditor.pocket.training.janus_tokens", *common],
        ["auditor.pocket.training.janus_base", "--out", str(weights / "janus"), *common],
        ["auditor.pocket.training.token_copies", "--base", str(weights / "tokens"), *common],
        ["auditor.pocket.training.zoo", "--out", str(out / "zoo"), *common],
        ["auditor.pocket.training.zoo_copies", "--out", str(out / "copies"), *common],
        *(
            ["auditor.pocket.vlm.generated", "--kind", kind, "--out", str(work / f"vlm-{kind}"), *common]
            for kind in ("restyled", "worded", "adapters")
        ),
        [
            "auditor.pocket.vlm.train",
            "--out",
            str(weights / "vlm"),
            "--vae",
            str(weights / "base" / "vae"),
            "--extra-pool",
            str(work / "vlm-restyled"),
            "--extra-pool",
            str(work / "vlm-worded"),
            "--extra-pool",
            str(work / "vlm-adapters"),
            "--extra-share",
            "0.6",
            *common,
        ],
    ]


def main() -> None:
    """Run every step; stop at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".auditor/training"))
    parser.add_argument("--out", type=Path, default=Path("auditor/pocket"))
    arguments = parser.parse_args()
    for step in steps(arguments.work, arguments.out):
        print(" ".join(step), file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", *step], check=True)


if __name__ == "__main__":
    main()
