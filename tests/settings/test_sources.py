"""Settings: precedence, provenance, and what is said about mistakes."""

from pathlib import Path

import pytest

from auditor.common.package_paths import package_path
from auditor.errors import UserError
from auditor.families.published_models import PUBLISHED
from auditor.families.table import AUDITABLE, FAMILIES
from auditor.settings import PROFILES, resolve


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(text: str) -> Path:
    path = Path("auditor.toml")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("profile", PROFILES)
def test_shipped_profiles_are_complete(profile):
    resolved = resolve(profile=profile, environment={})
    assert resolved.settings.profile == profile
    assert resolved.settings.recipe.active_bases
    assert set(resolved.provenance) == set(resolved.values())


def test_pocket_is_the_default_and_lives_inside_the_package():
    resolved = resolve(environment={})
    base = resolved.settings.recipe.bases["pocket"]
    assert resolved.settings.profile == "pocket"
    assert base.path == package_path("pocket/weights/base")
    assert (base.size, base.steps, base.dtype) == (64, 8, "float32")


def test_hub_profile_names_the_production_stack():
    recipe = resolve(profile="hub", environment={}).settings.recipe
    assert {base.size for base in recipe.bases.values()} == {512, 768, 1024}
    assert recipe.bases["sd15"].repo == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert (recipe.encoder.name, recipe.encoder.pretrained) == ("ViT-L-14-quickgelu", "openai")
    assert (recipe.proposer.kind, recipe.proposer.model) == ("openai", "Qwen/Qwen2-VL-7B-Instruct")
    assert (recipe.probes, recipe.probe_count, recipe.looks) == ("general-1", 50, (25, 50, 100))


def test_flag_beats_environment_beats_file_beats_profile():
    _write("[recipe]\nseed = 1\ndose_probes = 1\nprobe_count = 11\n")
    environment = {"AUDITOR_RECIPE__SEED": "2", "AUDITOR_RECIPE__DOSE_PROBES": "2"}
    resolved = resolve(overrides=["recipe.seed=3"], environment=environment)
    recipe, came_from = resolved.settings.recipe, resolved.provenance
    assert (recipe.seed, recipe.dose_probes, recipe.probe_count) == (3, 2, 11)
    assert came_from["recipe.seed"] == "flag --set recipe.seed"
    assert came_from["recipe.dose_probes"] == "env AUDITOR_RECIPE__DOSE_PROBES"
    assert came_from["recipe.probe_count"] == "file auditor.toml"
    assert came_from["recipe.lexicon"] == "profile pocket"
    assert came_from["hub.limit"] == "default"


@pytest.mark.parametrize(
    ("flag", "environment", "file", "profile", "place"),
    [
        (None, {}, "", "pocket", "profile pocket"),
        (None, {}, 'profile = "hub"', "hub", "file auditor.toml"),
        (None, {"AUDITOR_PROFILE": "pocket"}, 'profile = "hub"', "pocket", "env AUDITOR_PROFILE"),
        ("hub", {"AUDITOR_PROFILE": "pocket"}, "", "hub", "flag --profile"),
    ],
)
def test_the_strongest_source_chooses_the_profile(flag, environment, file, profile, place):
    _write(file)
    resolved = resolve(profile=flag, environment=environment)
    assert (resolved.settings.profile, resolved.provenance["profile"]) == (profile, place)


def test_environment_reaches_one_base_and_reads_lists_as_json():
    environment = {"AUDITOR_RECIPE__BASES__POCKET__STEPS": "4", "AUDITOR_RECIPE__LOOKS": "[6, 12]"}
    recipe = resolve(environment=environment).settings.recipe
    assert recipe.bases["pocket"].steps == 4
    assert recipe.bases["pocket"].size == 64
    assert recipe.looks == (6, 12)


def test_a_file_adds_a_base_beside_those_of_the_profile():
    _write(
        '[recipe.bases.mine]\nfamily = "sd15"\nrepo = "me/mine"\npipeline = "StableDiffusionPipeline"\n'
        "size = 512\nsteps = 5\nguidance = 1\n"
    )
    own = {"pocket", "pocket_tokens", "pocket_janus", "pocket_gan"}
    assert set(resolve(environment={}).settings.recipe.bases) == own | {"mine"}


def test_a_base_can_be_switched_off():
    recipe = resolve(profile="hub", overrides=["recipe.bases.sdxl.enabled=false"], environment={}).settings.recipe
    assert "sdxl" not in recipe.active_bases
    assert "sd15" in recipe.active_bases


def test_paths_in_a_file_are_relative_to_the_file(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    config = folder / "auditor.toml"
    config.write_text('[work]\ndir = "runs"\n[recipe.encoder]\npath = "package:x"\n')
    settings = resolve(config=config, environment={}).settings
    assert settings.work.dir == folder / "runs"
    assert settings.recipe.encoder.path == package_path("x")
    assert settings.catalog_path == folder / "runs" / "catalog.duckdb"
    assert resolve(work_dir=Path("here"), environment={}).settings.work.dir == Path("here")


@pytest.mark.parametrize(
    ("overrides", "environment", "file", "said"),
    [
        (["recipe.probecount=3"], {}, "", "did you mean recipe.probe_count?"),
        (["probe_count=3"], {}, "", "did you mean recipe.probe_count?"),
        (["recipe.bases.pocket.stepz=3"], {}, "", "did you mean recipe.bases.pocket.steps?"),
        ([], {"AUDITOR_WORK__DIRR": "x"}, "", "env AUDITOR_WORK__DIRR"),
        ([], {"AUDITOR_WROK__DIR": "x"}, "", "did you mean work?"),
        ([], {"AUDITOR_RECIPE__LOOKS": "[3"}, "", "written as JSON"),
        ([], {}, "[work]\ndri = 1\n", "file auditor.toml"),
        ([], {}, "[work\n", "not valid TOML"),
        ([], {}, 'profile = "hubb"\n', "choose pocket, pocket-2 or hub; did you mean hub?"),
        (["recipe.probe_count=many"], {}, "", "recipe.probe_count = 'many' (flag --set recipe.probe_count)"),
        (["recipe.probe_count=1"], {}, "", "greater than or equal to 2"),
        (["recipe.solver.null_draws=0"], {}, "", "greater than or equal to 1"),
        (["recipe.solver.null_draws=0"], {}, "", "greater than or equal to 1"),
        (["recipe.looks=[5, 3]"], {}, "", "increasing"),
        (["recipe.probe_count=5"], {}, "", "fewer than 6 probes"),
        (["recipe.looks=[5, 24]"], {}, "", "fewer than 6 probes"),
        (["recipe.solver.alpha=0.001", "recipe.probe_count=10"], {}, "", "fewer than 11 probes"),
        (["recipe.cosine_error_target=nan"], {}, "", "finite"),
        (["recipe.concept_template='no slots'"], {}, "", "lacks {prompt} and {concept}"),
        (["recipe.proposer.kind=openai"], {}, "", "needs serving.address, or serving.command"),
        (["nonsense"], {}, "", "section.key=value"),
    ],
)
def test_mistakes_are_named_with_place_and_remedy(overrides, environment, file, said):
    _write(file)
    with pytest.raises(UserError) as error:
        resolve(overrides=overrides, environment=environment)
    assert said in str(error.value)


def test_a_named_file_must_exist():
    with pytest.raises(UserError, match=r"--config names gone\.toml"):
        resolve(config=Path("gone.toml"), environment={})
    with pytest.raises(UserError, match="AUDITOR_CONFIG names"):
        resolve(environment={"AUDITOR_CONFIG": "gone.toml"})


def test_settings_are_frozen():
    settings = resolve(environment={}).settings
    with pytest.raises(ValueError, match="frozen"):
        settings.recipe.seed = 5


def test_a_time_limit_needs_no_quotes():
    resolved = resolve(config=None, overrides=["cluster.time_limit=00:30:00"], environment={})
    assert resolved.settings.cluster.time_limit == "00:30:00"


def test_a_base_without_a_pipeline_is_as_its_family():
    overrides = ("recipe.bases.qwen.family=qwen_image", "recipe.bases.qwen.steps=20")
    base = resolve(profile="pocket", config=None, overrides=overrides).settings.recipe.bases["qwen"]
    assert (base.repo, base.pipeline, base.steps, base.size) == ("Qwen/Qwen-Image", "QwenImagePipeline", 20, 1024)


def test_a_pipeline_needs_what_other_kinds_of_generators_do_not():
    tokens = [f"recipe.bases.tokens.{setting}" for setting in ("family=tokens", "repo=a/b", "size=512")]
    base = resolve(config=None, overrides=[*tokens, "recipe.bases.tokens.kind=autoregressive"]).settings.recipe.bases
    assert base["tokens"].pipeline is None
    with pytest.raises(UserError, match="`pipeline` and `steps` and `guidance`"):
        resolve(config=None, overrides=tokens)


def test_the_hub_profile_has_a_base_for_every_family_that_can_be_audited():
    bases = resolve(profile="hub", config=None, overrides=()).settings.recipe.bases
    assert {base.family for base in bases.values()} == {family.name for family in AUDITABLE}
    for name, base in bases.items():
        drawn = FAMILIES[base.family].rendering
        assert drawn is not None and (base.pipeline, base.size, base.dtype) == (drawn.pipeline, drawn.size, drawn.dtype)
        assert base.repo is not None and PUBLISHED[base.repo.lower()].family == base.family, name


def test_a_subject_that_could_never_show_an_effect_is_refused():
    with pytest.raises(UserError, match="subject_probes"):
        resolve(overrides=["recipe.subject_probes=5"], environment={})
    for harmless in ("recipe.subject_contexts=none", "recipe.trigger_arms=false"):
        assert resolve(overrides=["recipe.subject_probes=5", harmless], environment={})
