"""Which files of a repo are adapters to audit, which are variants of them, and which are refused by name.

The rules, in order; each chosen file carries the name of the rule that chose it:

1. Training state (optimizer, scheduler, scaler, random states) is ignored and never opened.
2. Parts of a whole model (component folders, shards, `model.safetensors`) are no adapters.
3. Files in checkpoint folders count only when the repo has no others; the highest step then stands for all.
4. A training ladder (`name`, `name-000004`, `name_000001000`, `name-epoch-000055`) is one unit: the file
   without a step, else the highest step; the rest are its variants.
5. Companions are fetched with their adapter: a peft config beside it, the text-encoder half of a peft
   folder, the embeddings of pivotal tuning (whose second copy in kohya names is a variant), the second half of
   words for SDXL's two text encoders.
6. Everything left is a unit of its own: a collection of fifteen adapters is fifteen units.
7. Pickles are refused without opening, unless the same weights lie beside them as safetensors.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.hub.file_names import beside, folder_of, is_safe_name, stem_of, suffix_of, without_suffix
from auditor.hub.training_steps import checkpoint_step, ladders, nearest_final, step_of

SAFE_SUFFIXES = frozenset({".safetensors", ".sft"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})

_WEIGHT_ENDINGS = tuple(SAFE_SUFFIXES | PICKLE_SUFFIXES)

_TRAINING_STATE = re.compile(
    r"^(?:optimizer|scheduler|scaler|random_states?|rng_state|training_args|train_state|trainer_state)"
    r"(?:[._-].*)?$",
    re.IGNORECASE,
)
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_WHOLE = "model.safetensors"
_WHOLE_SHARD = re.compile(r"^model-\d{5}-of-(\d{5})\.safetensors$")
_COMPONENT_FOLDERS = frozenset(
    {
        "unet",
        "transformer",
        "transformer_2",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "text_encoder_3",
        "image_encoder",
        "safety_checker",
        "feature_extractor",
        "tokenizer",
        "prior",
        "controlnet",
    }
)
_COMPONENT_STEMS = re.compile(r"^(?:diffusion_pytorch_model|model|pytorch_model)(?:\.fp16|\.bf16|\.non_ema)?$")
_EMBEDDING = re.compile(r"^(?:(?P<stem>.+)_emb|learned_embeds.*|embeddings)$", re.IGNORECASE)
_SECOND_WORDS = re.compile(r"^(learned_embeds)_2(.*)$", re.IGNORECASE)
"""SDXL's trainer of words writes those for its second text encoder into a second file."""
_DENOISER_FOLDERS = frozenset({"unet", "transformer"})
_PEFT_STEM = "adapter_model"
_DIFFUSERS_STEM = "pytorch_lora_weights"


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file to audit, the rule that chose it, and what is fetched along with it."""

    path: str
    why: str
    companions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """A file that is not audited because `of` stands for it."""

    path: str
    of: str
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The weight files of one repo, sorted into roles; a path stands in one role only.

    Attributes:
        chosen: Units of work.
        variants: Represented by a chosen file.
        refused: Pickles: never opened.
        unsafe_names: Weight files whose names cannot be asked for safely.
        components: Parts of a whole model.
        denoiser: The part that stands for a whole model: its UNet or transformer in one file; None without one.
        sharded: The denoiser lies in several files.
        whole: Weights of one model in the root of the repo, in one file or all of its shards.
    """

    chosen: tuple[ChosenFile, ...] = ()
    variants: tuple[Variant, ...] = ()
    refused: tuple[str, ...] = ()
    unsafe_names: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    denoiser: str | None = None
    sharded: bool = False
    whole: tuple[str, ...] = ()


def select_files(paths: Sequence[str]) -> Selection:
    """Sort the files of a repo into roles. Stable: the order of `paths` does not matter."""
    maybe = {path for path in paths if path.lower().endswith(_WEIGHT_ENDINGS)}
    weights = sorted(path for path in maybe if suffix_of(path) in SAFE_SUFFIXES | PICKLE_SUFFIXES)
    unsafe = [path for path in weights if not is_safe_name(path)]
    weights = [path for path in weights if is_safe_name(path) and not _TRAINING_STATE.match(stem_of(path))]
    whole_model = "model_index.json" in paths
    components = [path for path in weights if _is_component(path, whole_model)]
    parts = frozenset(components)
    rest = [path for path in weights if path not in parts]
    pickles = [path for path in rest if suffix_of(path) in PICKLE_SUFFIXES]
    adapters = [path for path in rest if suffix_of(path) in SAFE_SUFFIXES]
    safe_twins = {without_suffix(path) for path in adapters}
    refused = [path for path in pickles if without_suffix(path) not in safe_twins]

    twins = _kohya_twins(adapters)
    copies = frozenset(twin.path for twin in twins)
    adapters, companions = _companions(adapters, frozenset(paths))
    chosen, variants = _choose([path for path in adapters if path not in copies])
    variants += twins
    return Selection(
        chosen=tuple(ChosenFile(path, why, tuple(companions.get(path, ()))) for path, why in sorted(chosen.items())),
        variants=tuple(sorted(variants, key=lambda variant: variant.path)),
        refused=tuple(refused),
        unsafe_names=tuple(unsafe),
        components=tuple(components),
        denoiser=_denoiser(components),
        sharded=any(_is_denoiser(path) and _SHARD.search(stem_of(path)) for path in components),
        whole=_whole(components),
    )


def _denoiser(components: Sequence[str]) -> str | None:
    """The denoiser's weights in one safetensors file: full precision before half, a folder before the root."""
    found = [
        path
        for path in components
        if _is_denoiser(path) and suffix_of(path) in SAFE_SUFFIXES and not _SHARD.search(stem_of(path))
    ]
    return min(found, key=lambda path: ("." in stem_of(path), "/" not in path, path), default=None)


def _is_denoiser(path: str) -> bool:
    """By place and name; a ControlNet or VAE may be called the same in the root, which only the header tells."""
    folder = folder_of(path)
    return folder in _DENOISER_FOLDERS or (folder == "." and stem_of(path).startswith("diffusion_pytorch_model"))


def _choose(adapters: list[str]) -> tuple[dict[str, str], list[Variant]]:
    """Apply the rules for checkpoint folders, ladders and twins; return path → rule, and the variants."""
    in_checkpoints = [path for path in adapters if checkpoint_step(path) is not None]
    finals = [path for path in adapters if checkpoint_step(path) is None]
    if not finals and in_checkpoints:
        best = max(in_checkpoints, key=lambda path: (checkpoint_step(path) or 0, _is_preferred(path), path))
        others = [Variant(path, best, "earlier checkpoint") for path in in_checkpoints if path != best]
        return {best: "highest checkpoint, no final file"}, others
    nearest = nearest_final(in_checkpoints, [path for path in finals if _is_preferred(path)] or finals)
    variants = [Variant(path, nearest[path], "checkpoint of a final file") for path in in_checkpoints]

    chosen: dict[str, str] = {}
    for members in ladders(finals):
        best = max(members, key=lambda path: (not step_of(path)[1], step_of(path)[1], -len(path), path))
        chosen[best] = _rule(best, len(finals), ladder=len(members) > 1)
        variants += [Variant(path, best, "step of a training ladder") for path in members if path != best]
    for path in [path for path in chosen if stem_of(path).endswith((".fp16", ".bf16"))]:
        full = re.sub(r"\.(?:fp16|bf16)(?=\.\w+$)", "", path)
        if full in chosen:
            del chosen[path]
            variants.append(Variant(path, full, "half-precision copy"))
    return chosen, variants


def _rule(path: str, files: int, *, ladder: bool) -> str:
    if ladder:
        return "final of a training ladder" if not step_of(path)[1] else "highest step of a training ladder"
    if stem_of(path) in (_DIFFUSERS_STEM, _PEFT_STEM):
        return f"standard name {path.rpartition('/')[2]}"
    return "the only adapter file" if files == 1 else "one of a collection"


def _companions(adapters: list[str], paths: frozenset[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Take out the files that belong to another one; return what is left, and companions by owner."""
    companions: dict[str, list[str]] = defaultdict(list)
    known, taken = frozenset(adapters), set[str]()
    for path in adapters:
        folder, _, name = path.rpartition("/")
        if stem_of(path) == _PEFT_STEM and folder.rpartition("/")[2].startswith("text_encoder"):
            halves = [f"{beside(folder, other)}/{name}" for other in sorted(_DENOISER_FOLDERS)]
            owner = next((half for half in halves if half in known), None)
            if owner is not None:
                taken.add(path)
                companions[owner].append(path)
                companions[owner] += _present(paths, beside(path, "adapter_config.json"))
    for path, owner in _embedding_owners([path for path in adapters if path not in taken]).items():
        taken.add(path)
        companions[owner].append(path)
    left = [path for path in adapters if path not in taken]
    for path in left:
        if stem_of(path) == _PEFT_STEM:
            companions[path] += _present(paths, beside(path, "adapter_config.json"))
    return left, companions


def _kohya_twins(adapters: list[str]) -> list[Variant]:
    """Pivotal tuning leaves its adapter twice: `<name>` (kohya) beside `<name>_emb` and the standard name."""
    twins: list[Variant] = []
    known = frozenset(adapters)
    for path in adapters:
        match = _EMBEDDING.match(stem_of(path))
        if match is None or not match.group("stem"):
            continue
        twin = beside(path, match.group("stem") + path[len(without_suffix(path)) :])
        standard = beside(path, f"{_DIFFUSERS_STEM}.safetensors")
        if twin in known and standard in known and twin != standard:
            twins.append(Variant(twin, standard, "kohya copy left by pivotal tuning"))
    return twins


def _embedding_owners(adapters: Sequence[str]) -> dict[str, str]:
    """The adapter that embeddings belong to: the standard name, else the same stem, else the only one beside them."""
    embeddings: dict[str, str | None] = {}
    neighbours: dict[str, list[str]] = defaultdict(list)
    by_stem: dict[tuple[str, str | None], str] = {}
    for path in adapters:
        match = _EMBEDDING.match(stem_of(path))
        if match:
            embeddings[path] = match.group("stem")
        else:
            neighbours[folder_of(path)].append(path)
            by_stem.setdefault((folder_of(path), stem_of(path)), path)
    owners: dict[str, str] = {}
    for path, stem in embeddings.items():
        folder = folder_of(path)
        owner = by_stem.get((folder, _DIFFUSERS_STEM)) or by_stem.get((folder, stem))
        if owner is None and len(neighbours[folder]) == 1:
            owner = neighbours[folder][0]
        if owner is not None:
            owners[path] = owner
    for path in embeddings.keys() - owners.keys():
        first = _SECOND_WORDS.sub(r"\1\2", stem_of(path))
        partner = beside(path, first + path[len(without_suffix(path)) :])
        if partner != path and partner in embeddings:
            owners[path] = partner
    return owners


def _present(paths: frozenset[str], path: str) -> list[str]:
    return [path] if path in paths else []


def _whole(components: Sequence[str]) -> tuple[str, ...]:
    """The model in one file, else all of its shards; nothing of a set that is not complete, or of several."""
    if _WHOLE in components:
        return (_WHOLE,)
    sets: dict[int, list[str]] = defaultdict(list)
    for path in components:
        if shard := _WHOLE_SHARD.match(path):
            sets[int(shard[1])].append(path)
    complete = [tuple(sorted(shards)) for count, shards in sets.items() if len(shards) == count]
    return complete[0] if len(complete) == 1 else ()


def _is_preferred(path: str) -> bool:
    return stem_of(path) in (_DIFFUSERS_STEM, _PEFT_STEM)


def _is_component(path: str, whole_model: bool) -> bool:
    folder, stem = folder_of(path).rpartition("/")[2], stem_of(path)
    if _SHARD.search(stem) or _COMPONENT_STEMS.match(stem):
        return True
    return whole_model and folder in _COMPONENT_FOLDERS and stem not in (_PEFT_STEM, _DIFFUSERS_STEM)
