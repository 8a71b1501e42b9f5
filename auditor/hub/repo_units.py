"""One listed repo → the units of work in it, and everything whose outcome is known without opening it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath

from auditor.common.wording import counted, with_article
from auditor.families.published_models import canonical_base
from auditor.hub.select import PICKLE_SUFFIXES, Selection, select_files
from auditor.records.listing import ListedRepo, QuarantinedEntry, SettledItem, Unit
from auditor.records.outcomes import Outcome, Reason

NO_COMMIT = "0" * 40
"""Stands for the commit of an entry that names none."""

_OTHER_TASKS = frozenset(
    {
        "text-generation",
        "text2text-generation",
        "text-classification",
        "token-classification",
        "question-answering",
        "summarization",
        "translation",
        "fill-mask",
        "feature-extraction",
        "sentence-similarity",
        "text-to-speech",
        "text-to-audio",
        "automatic-speech-recognition",
        "audio-classification",
        "image-text-to-text",
        "image-to-text",
        "image-classification",
        "object-detection",
        "image-segmentation",
        "text-to-video",
        "image-to-video",
        "reinforcement-learning",
    }
)
_IMAGE_TAGS = frozenset(
    {
        "text-to-image",
        "image-to-image",
        "stable-diffusion",
        "stable-diffusion-xl",
        "stable-diffusion-diffusers",
        "stable-diffusion-xl-diffusers",
        "sdxl",
        "flux",
        "flux-diffusers",
        "diffusers",
        "template:sd-lora",
    }
)
_ADAPTER_TAGS = frozenset({"lora", "template:sd-lora", "peft", "textual_inversion", "dora", "lycoris"})
_OTHER_PARTS = re.compile(
    r"(?:^|[-_./])(?P<part>controlnet|ip[-_]?adapter|t2i[-_]?adapter|vae|upscalers?|esrgan|animatediff|motion[-_]?module)"
    r"(?:$|[-_./])",
    re.IGNORECASE,
)
"""Parts of a text-to-image system that personalise nothing, as repos and tags name them."""


def units(
    repo: ListedRepo, *, try_gated: bool = False, full_models: bool = False, copied: Collection[str] = ()
) -> list[Unit | SettledItem]:
    """Return what there is to do about a repo: never an empty list, so that counts reconcile.

    Args:
        repo: As listed.
        try_gated: Plan gated repos too, for an identity whose token may have been accepted.
        full_models: Plan whole models too, by their denoiser's weights.
        copied: Repo ids of bases that are personalised by other weights for the whole model or a part.
    """
    settled = _settle_repo(repo, try_gated=try_gated)
    if settled is not None:
        return [settled]
    selection = select_files([item.path for item in repo.files])
    known = {item.path: item for item in repo.files}
    items: list[Unit | SettledItem] = [
        Unit(
            repo.repo_id,
            repo.commit_sha,
            choice.path,
            choice.why,
            companions=choice.companions,
            size_bytes=known[choice.path].size_bytes,
            sha256=known[choice.path].sha256,
        )
        for choice in selection.chosen
    ]
    if full_models and selection.denoiser is not None:
        # tells the audit that the model has text encoders or a VAE of its own, which stay behind
        own = any(PurePosixPath(path).parent.name.startswith(("text_encoder", "vae")) for path in selection.components)
        index = ("model_index.json",) if own and "model_index.json" in known else ()
        items.append(Unit(repo.repo_id, repo.commit_sha, selection.denoiser, "denoiser of a whole model", index))
    if selection.whole and _homes(copied) & _homes(repo.base_models):
        first, *shards = selection.whole
        size, sha256 = known[first].size_bytes, known[first].sha256
        items.append(
            Unit(repo.repo_id, repo.commit_sha, first, "weights of a whole model", tuple(shards), size, sha256)
        )
    items += _settle_files(repo, selection)
    return items or [_no_adapter(repo, selection, full_models=full_models)]


def _homes(names: Iterable[str]) -> set[str]:
    return {canonical_base(name).lower() for name in names}


def unreadable(entry: QuarantinedEntry) -> SettledItem:
    """What stands for a list entry that could not be read, so that it is counted and seen."""
    name = entry.repo_id or f"(entry {entry.position} on page {entry.page} of {entry.query})"
    message = f"Its list entry cannot be read: {entry.message}."
    return SettledItem(name, NO_COMMIT, None, "quarantined", "malformed_entry", message)


def _settle_repo(repo: ListedRepo, *, try_gated: bool) -> SettledItem | None:
    if repo.gone:
        now = (
            f"It is called {repo.renamed_to} now." if repo.renamed_to else "It is no longer there, or was made private."
        )
        return _item(repo, None, "gone", "repo_gone", now)
    if repo.disabled:
        return _item(repo, None, "gone", "repo_disabled", "The Hub has disabled this repo.")
    if repo.gated is not None and not try_gated:
        return _item(
            repo,
            None,
            "skipped",
            "gated",
            "The repo asks for its terms to be accepted; no accepted token was given.",
        )
    if repo.pipeline_tag in _OTHER_TASKS and not _IMAGE_TAGS.intersection(repo.tags):
        return _item(repo, None, "skipped", "not_text_to_image", f"The repo says it is for {repo.pipeline_tag}.")
    if (part := _other_part(repo)) is not None:
        return _item(
            repo,
            None,
            "skipped",
            "not_text_to_image",
            f"By name and tags {with_article(part)}, which personalises nothing.",
        )
    if repo.base_relation == "merge" and len(repo.base_claims) > 1:
        message = f"It says it is merged from {len(repo.base_claims)} models, so it has no single base to compare with."
        return _item(repo, None, "skipped", "no_single_base", message)
    return None


def _other_part(repo: ListedRepo) -> str | None:
    """The kind of part that a repo says it is, unless it also says it is an adapter."""
    if _ADAPTER_TAGS.intersection(repo.tags):
        return None
    names = [repo.repo_id.rpartition("/")[2], *(tag for tag in repo.tags if ":" not in tag)]
    found = next((match for name in names if (match := _OTHER_PARTS.search(name))), None)
    return found["part"].lower() if found else None


def _settle_files(repo: ListedRepo, selection: Selection) -> Iterator[SettledItem]:
    for variant in selection.variants:
        message = f"{variant.why.capitalize()}: {variant.of} is audited in its place."
        yield _item(repo, variant.path, "skipped", "variant_of_audited", message, variant_of=variant.of)
    for path in selection.refused:
        yield _item(repo, path, "quarantined", "refused_format", "A pickle: loading it could run code.")
    for path in selection.unsafe_names:
        yield _item(repo, path, "quarantined", "hostile_metadata", "The file name cannot be asked for safely.")


def _no_adapter(repo: ListedRepo, selection: Selection, *, full_models: bool) -> SettledItem:
    if selection.denoiser is not None and not full_models:
        message = "A whole model; those are audited only with hub.full_models."
        return _item(repo, None, "skipped", "full_model", message)
    pickles = [path for path in selection.components if path.lower().endswith(tuple(PICKLE_SUFFIXES))]
    if pickles and len(pickles) == len(selection.components):
        message = f"A whole model in {counted(len(pickles), 'pickle')}: loading one could run code."
        return _item(repo, None, "quarantined", "refused_format", message)
    if selection.components:
        how = "its denoiser lies in several files" if selection.sharded else "none of them a denoiser in safetensors"
        message = f"A whole model or a part of one ({counted(len(selection.components), 'weight file')}, {how})."
        return _item(repo, None, "skipped", "unsupported_format", message)
    return _item(
        repo, None, "skipped", "no_weights", f"None of its {counted(len(repo.files), 'file')} holds adapter weights."
    )


def _item(
    repo: ListedRepo,
    path: str | None,
    outcome: Outcome,
    reason: Reason,
    message: str,
    *,
    variant_of: str | None = None,
) -> SettledItem:
    return SettledItem(repo.repo_id, repo.commit_sha, path, outcome, reason, message, variant_of)
