"""`explain` on a repo whose hash nobody stated: the result is found where the audit has put it."""

from __future__ import annotations

from pathlib import Path

from auditor.pipeline.explain_target import explain_target
from auditor.settings import resolve


def test_a_result_is_found_by_the_hash_that_fetching_told(tmp_path: Path) -> None:
    (repo := tmp_path / "hub" / "eve" / "broken").mkdir(parents=True)
    (repo / "README.md").write_text("---\ntags: [lora, text-to-image]\n---\n")
    (repo / "weights.safetensors").write_bytes(b"no weights at all")
    overrides = (f"hub.serve_folder={tmp_path / 'hub'}", "hub.odd_repos=false", "hub.plan_requests=0")
    settings = resolve(profile="pocket", work_dir=tmp_path / "work", overrides=overrides, environment={}).settings
    for _ in range(2):
        explained = explain_target(settings, "eve/broken", None, lambda *_: None)
        assert explained.result.record.outcome == "quarantined"
        assert "eve/broken" in explained.page
