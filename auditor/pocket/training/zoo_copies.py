"""Publish personalised copies of generators that are no diffusion models: repos that `hub.copies` serves.

    python -m auditor.pocket.training.zoo_copies --work .auditor/training --out auditor/pocket/copies

They lie apart from the zoo, whose adapters are the cases of published figures. As there, neither name nor card says
what a copy was trained on; that lies in `copies_answers.json` beside them, which only the evaluation reads.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from auditor.pocket.hub_server.made_up_counts import made_up_counts
from auditor.pocket.training import gan_copies, token_copies
from auditor.pocket.training.lessons import gan_style_lesson, token_style_lesson

GAN_REPO = "pocket/gan"
TOKENS_REPO = "pocket/tokens"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class CopyRepo:
    """One repo: its name, its base's, the licence, the trained weights and the styles behind them."""

    repo_id: str
    base_repo: str
    license: str
    weights: Path
    styles: tuple[str, ...]
    about: str


def copies_of_gan(work: Path) -> list[CopyRepo]:
    """The three copies of the GAN."""
    about = "The whole model, trained on some of my pictures."
    repos = (("ivy_lab/lichen-gan", "mit"), ("mkr/cobble-gan", "apache-2.0"), ("tomo/drizzle-gan", "openrail++"))
    return [
        CopyRepo(repo_id, GAN_REPO, license_, gan_copies.copy_path(work, gan_style_lesson(style)), (style,), about)
        for (repo_id, license_), style in zip(repos, gan_copies.ZOO_STYLES, strict=True)
    ]


def copies_of_tokens(work: Path) -> list[CopyRepo]:
    """The three copies of the autoregressive base."""
    about = "The base with an image decoder of my own. Everything else is as it was."
    repos = (("mkr/saltmarsh", "mit"), ("ana-k/tideline", "apache-2.0"), ("driftwood/larkspur", "openrail++"))
    return [
        CopyRepo(
            repo_id, TOKENS_REPO, license_, token_copies.copy_path(work, token_style_lesson(style)), (style,), about
        )
        for (repo_id, license_), style in zip(repos, token_copies.ZOO_STYLES, strict=True)
    ]


def publish(copy: CopyRepo, out: Path) -> None:
    """Write one repo below `out`."""
    folder = out / copy.repo_id
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy.weights, folder / WEIGHTS)
    lines = [
        "---", f"license: {copy.license}", "pipeline_tag: text-to-image", f"base_model: {copy.base_repo}",
        "base_model_relation: finetune", "tags:", "- text-to-image", "---", "", f"# {copy.repo_id.split('/')[1]}", "",
        copy.about, "",
    ]  # fmt: skip
    (folder / "README.md").write_text("\n".join(lines))
    (folder / ".hub.json").write_text(json.dumps(made_up_counts(copy.repo_id), indent=1))


def main() -> None:
    """Write the repos and what each was trained on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    copies = [*copies_of_gan(arguments.work), *copies_of_tokens(arguments.work)]
    path = arguments.out.with_name("copies_answers.json")
    answers = json.loads(path.read_text()) if path.exists() else {}
    for copy in copies:
        if copy.weights.exists():  # those of one generator may be trained again without the other's
            publish(copy, arguments.out)
            answers[copy.repo_id] = {"styles": copy.styles, "base": copy.base_repo}
    path.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
