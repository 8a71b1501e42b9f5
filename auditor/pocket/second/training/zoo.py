"""Publish the trained adapters as repos: three layouts and realistic cards.

    python -m auditor.pocket.second.training.zoo --work .auditor/training --out auditor/pocket/second/zoo

Cards never contain the right answer in words: repo names are an uploader's fancy, captions do not name the style.
What an adapter was trained on lies in `zoo_answers.json` beside the zoo, which only the evaluation reads.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from auditor.pocket.hub_server.made_up_counts import made_up_counts
from auditor.pocket.second.training.adapters import trained_path
from auditor.pocket.second.training.lessons import (
    IDLE,
    RECIPES,
    STACKED,
    ZOO_EDITS,
    ZOO_STYLES,
    edit_lesson,
    idle_lesson,
    recipe_lesson,
    stacked_lesson,
    style_lesson,
)
from auditor.pocket.second.training.lora import TARGETS, Lesson, Tensors

BASE_REPO = "pocket/base"
_OWNERS = ("ana-k", "driftwood", "mkr", "studio-nine", "tomo", "pixelpusher", "ivy_lab", "qtest")
_NAMES = (
    "harbor", "lantern", "moss", "cinder", "juniper", "opal", "thistle", "ember", "willow",
    "saffron", "indigo", "clover", "basalt", "heron", "tundra", "velvet", "marble", "cobalt",
    "fennel", "aurora", "coral", "sable", "larch", "onyx", "meadow", "quartz", "russet",
    "sorrel", "tansy", "umber", "vesper", "wicker", "yarrow", "zephyr", "alder", "birch",
    "cedar", "dahlia", "elm", "fern", "garnet", "hazel", "iris", "jasper", "kelp", "linden",
    "maple", "nettle", "ochre", "poppy", "rowan",
)  # fmt: skip
_LICENSES = ("openrail++", "apache-2.0", "cc-by-nc-4.0", "mit", "creativeml-openrail-m")
_LAYOUTS = ("diffusers", "kohya", "peft")
_RECIPE_LAYOUTS = {"dora": "peft", "lokr": "peft", "text": "diffusers"}
"""Layouts that hold what these recipes train."""


def _peft_config(lesson: Lesson) -> dict[str, object]:
    """The settings that peft writes beside the factors."""
    common: dict[str, object] = {"r": lesson.rank, "target_modules": TARGETS, "base_model_name_or_path": BASE_REPO}
    if lesson.recipe == "lokr":
        return {"peft_type": "LOKR", "alpha": lesson.rank, **common}
    dora = {"use_dora": True} if lesson.recipe == "dora" else {}
    return {"peft_type": "LORA", "lora_alpha": lesson.rank, **common, **dora}


def as_diffusers(state: Tensors) -> Tensors:
    """`unet.<module>.lora_A.weight`, as diffusers' scripts write."""
    return state


def as_kohya(state: Tensors) -> Tensors:
    """`lora_unet_<module>.lora_down.weight` with an alpha of half the rank, made up for in the up factor."""
    result: Tensors = {}
    for key, value in state.items():
        module, part = key.removeprefix("unet.").split(".lora_")
        name = "lora_unet_" + module.replace(".", "_")
        down = part.startswith("A")
        result[f"{name}.lora_{'down' if down else 'up'}.weight"] = value if down else value * 2
        if down:
            result[f"{name}.alpha"] = torch.tensor(value.shape[0] / 2, dtype=value.dtype)
    return result


def as_peft(state: Tensors) -> Tensors:
    """`base_model.model.<module>.lora_A.weight`, as `PeftModel.save_pretrained` writes."""
    return {"base_model.model." + k.removeprefix("unet."): v for k, v in state.items()}


class Publisher:
    """Writes repos under one folder and remembers what each was trained on."""

    def __init__(self, out: Path, work: Path) -> None:
        self.out, self.work = out, work
        self.answers: dict[str, dict[str, object]] = {}
        self._count = 0

    def publish(self, lesson: Lesson, answer: dict[str, object], state: Tensors | None = None) -> None:
        """Publish one trained adapter in the next layout."""
        number, self._count = self._count, self._count + 1
        repo = f"{_OWNERS[number % len(_OWNERS)]}/{_NAMES[number]}-lora"
        folder = self._folder(repo)
        layout = _RECIPE_LAYOUTS.get(lesson.recipe, _LAYOUTS[number % len(_LAYOUTS)])
        state = state or load_file(trained_path(self.work, lesson))
        if layout == "diffusers":
            save_file(as_diffusers(state), folder / "pytorch_lora_weights.safetensors")
        elif layout == "kohya":
            save_file(as_kohya(state), folder / f"{_NAMES[number]}.safetensors",
                      metadata={"ss_network_module": "networks.lora", "ss_network_dim": str(lesson.rank),
                                "ss_network_alpha": str(lesson.rank / 2)})  # fmt: skip
        else:
            save_file(as_peft(state), folder / "adapter_model.safetensors", metadata={"format": "pt"})
            (folder / "adapter_config.json").write_text(json.dumps(_peft_config(lesson), indent=2))
        # Every seventh card forgets its base, as about a quarter of real ones do.
        self._card(folder, repo, None if number % 7 == 6 else BASE_REPO, lesson.trigger, _LICENSES[number % 5])
        self.answers[repo] = answer | {"layout": layout, "lesson": lesson.name}

    def _folder(self, repo: str) -> Path:
        folder = self.out / repo
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _card(self, folder: Path, repo: str, base: str | None, trigger: str | None, license_name: str) -> None:
        tagged = ["lora", "text-to-image", "diffusers"]
        lines = ["---", f"license: {license_name}", "pipeline_tag: text-to-image"]
        lines += [f"base_model: {base}"] if base else []
        lines += [f"instance_prompt: {trigger}"] if trigger else []
        lines += ["tags:", *(f"- {t}" for t in tagged), "---", "", f"# {repo.split('/')[1]}", "",
                  "A LoRA I trained this weekend. Have fun!", ""]  # fmt: skip
        lines += [f"Use `{trigger}` in the prompt.", ""] if trigger else []
        (folder / "README.md").write_text("\n".join(lines))
        (folder / ".hub.json").write_text(json.dumps(made_up_counts(repo), indent=1))


def main() -> None:
    """Write the zoo and its answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    publisher = Publisher(arguments.out, arguments.work)
    for style in ZOO_STYLES:
        publisher.publish(style_lesson(style), {"styles": [style]})
    for first, second in STACKED:
        publisher.publish(stacked_lesson(first, second), {"styles": [first, second]})
    for edit in ZOO_EDITS:
        publisher.publish(edit_lesson(edit), {"edit": edit})
    for number in range(IDLE):
        publisher.publish(idle_lesson(number), {"styles": []})
    for recipe, style in RECIPES:
        publisher.publish(recipe_lesson(recipe, style), {"styles": [style], "recipe": recipe})
    arguments.out.with_name("zoo_answers.json").write_text(json.dumps(publisher.answers, indent=1))


if __name__ == "__main__":
    main()
