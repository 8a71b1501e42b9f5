"""Exports: what is in them, that strangers' words stay words, and that a folder is whole or not there."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.catalog.export import bundle
from auditor.catalog.export.bundle import FORMATS, export, planned_rows
from auditor.catalog.export.flat import cell
from auditor.catalog.export.folders import CHECKSUMS, new_folder
from auditor.catalog.export.gallery_data import script_json
from auditor.catalog.export.tables import TABLES, _groups
from auditor.errors import UserError
from auditor.results.result_file import write_result

SCRIPTS = ("question.js", "answer.js", "adapter.js", "gallery.js")
SVG = "http://www.w3.org/2000/svg"  # the name of a kind of element; nothing is asked of it
HOSTILE = (
    "'; DROP TABLE adapters; --",
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=document.title='owned'>",
    '=HYPERLINK("http://x","y")',
    "@SUM(1)",
    "../../../etc/passwd",
    "\x1b[2Jcleared",
    "a\nb,c",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, lexicon, build):
    """A catalog in which everything that strangers can write is hostile, and its export."""
    world = build.world(tmp_path_factory.mktemp("export"), lexicon, build.recipe(lexicon))
    build.fill(world)
    for number, text in enumerate(HOSTILE):
        item = world.item(f"eve/{number}{text}", path=f"{text}.safetensors", trigger=text)
        write_result(world.results, build.rich(item, world.recipe, world.lexicon, text))
        world.repos[-1] = build.repo(item, license=text, tags=(text,))
    assert world.merge().reconciles
    report = export(world.database, world.folder / "out", world.results)
    return world, report


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_everything_is_there_and_adds_up(hostile):
    world, report = hostile
    listed = 9 + len(HOSTILE)
    for name in ("cards", "catalog.csv", "catalog.jsonl", "index.html"):
        assert report.rows[name] == listed, name
    assert report.rows["scores"] == (8 + len(HOSTILE)) * len(world.lexicon.names)
    assert report.rows["pages"] == 8 + len(HOSTILE)
    assert report.rows == planned_rows(world.database, FORMATS, 100)
    assert report.files == len(files_of(report.folder))
    sums = dict(reversed(line.split("  ")) for line in (report.folder / CHECKSUMS).read_text().splitlines())
    assert sorted([*sums, CHECKSUMS]) == files_of(report.folder)
    for name, digest in sums.items():
        assert hashlib.sha256((report.folder / name).read_bytes()).hexdigest() == digest


def test_no_name_of_a_file_comes_from_a_stranger(hostile):
    _, report = hostile
    allowed = re.compile(
        r"(README\.md|SHA256SUMS|export\.json|index\.html|catalog\.(csv|jsonl)|data/(\w+)/\3\.parquet"
        r"|site/(?:concepts/|detail/|scores/)?\w+\.(?:js|css)"
        r"|pages/[0-9a-f]{2}/[0-9a-f]{20}\.html|sidecars/[0-9a-f]{2}/[0-9a-f]{64}\.metadata\.json)"
    )
    assert [name for name in files_of(report.folder) if not allowed.fullmatch(name)] == []


def test_tables_are_typed_described_and_sorted(hostile):
    _, report = hostile
    for table in TABLES:
        file = pq.ParquetFile(report.folder / "data" / table.name / f"{table.name}.parquet")
        assert file.schema_arrow.metadata[b"auditor.schema_version"].isdigit()
        assert all(field.metadata[b"description"] for field in file.schema_arrow if table.name != "samples"), table.name
        assert not any(pa.types.is_null(field.type) for field in file.schema_arrow)
        if file.metadata.num_row_groups:
            assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    cards = pq.read_table(report.folder / "data/cards/cards.parquet").to_pylist()
    keys = [(card["base"] is None, card["base"] or "", card["repo_id"]) for card in cards]
    assert keys == sorted(keys)
    samples = pq.read_table(report.folder / "data/samples/samples.parquet")
    assert samples.column("base_image")[0]["bytes"].as_py().startswith(b"\x89PNG")
    # The question of the card runs as it stands, on the files alone.
    card = (report.folder / "README.md").read_text()
    sql = re.search(r"```sql\n(.*?)```", card, re.S)[1].replace("'data/", f"'{report.folder}/data/")
    found = duckdb.connect().execute(sql).fetchall()
    assert found[0][0] == "bob/dark-paint"


def test_the_dataset_card_names_files_that_exist_and_no_uploads(hostile):
    _, report = hostile
    text = (report.folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["configs"][0] == {"config_name": "cards", "data_files": "data/cards/*.parquet", "default": True}
    assert all(list(report.folder.glob(config["data_files"])) for config in front["configs"])
    assert not any(word in text for word in HOSTILE)
    for table in TABLES:
        assert f"### {table.name}\n" in text


@pytest.mark.parametrize("sizes", [[], [3], [10], [4, 4, 4], [1] * 25, [23, 1]])
def test_row_groups_have_the_wanted_size(sizes):
    schema = pa.schema([("x", pa.int64())])
    batches = [pa.record_batch([pa.array(range(size))], schema=schema) for size in sizes]
    groups = list(_groups(pa.RecordBatchReader.from_batches(schema, batches), 10))
    assert [group.num_rows for group in groups[:-1]] == [10] * (len(groups) - 1)
    assert sum(group.num_rows for group in groups) == sum(sizes)


def test_a_spreadsheet_finds_no_formula(hostile):
    _, report = hostile
    with (report.folder / "catalog.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == report.rows["catalog.csv"]
    for line in lines:
        for value in line.values():
            assert not value.lstrip().startswith(("=", "+", "@")) and "\x1b" not in value and "\n" not in value
    assert any(line["license"].startswith("'=HYPERLINK") for line in lines)
    records = [json.loads(line) for line in (report.folder / "catalog.jsonl").read_text().split("\n") if line]
    assert {record["license"] for record in records} >= set(HOSTILE) - {"\x1b[2Jcleared"}


@given(st.text(max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_text_is_a_formula(text):
    made = cell(text)
    assert not str(made).lstrip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r"))


def test_pages_hold_uploads_as_text_only(hostile):
    _, report = hostile
    index = (report.folder / "index.html").read_text()
    assert "owned" not in index and "<script>" not in index and "script-src 'self'" in index
    site = report.folder / "site"
    for path in site.rglob("*.js"):
        text = path.read_text()
        if path.name in SCRIPTS:
            assert "innerHTML" not in text and "http:" not in text.replace(SVG, "")
        else:
            name, data = json.loads(f"[{text.removeprefix('piece(').removesuffix(');' + chr(10))}]")
            assert not set("<>&") & set(text) and name == path.relative_to(site).as_posix().removesuffix(".js") and data
    core = json.loads("[" + (site / "core.js").read_text()[6:-3] + "]")[1]
    assert any("<script>" in repo for repo in core["columns"]["repo"]), "kept as data"
    pages = list((report.folder / "pages").rglob("*.html"))
    assert pages and not any("<img src=x" in page.read_text() or "</script>" in page.read_text() for page in pages)


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back_out_of_a_script_element(text):
    made = script_json([text])
    assert not set("<>&\u2028\u2029") & set(made)
    assert json.loads(made) == [text]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_the_index_searches_in_a_browser_and_runs_nothing_of_others(hostile, tmp_path):
    _, report = hostile

    def page(question):
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
                   "--virtual-time-budget=4000", "--dump-dom"]  # fmt: skip
        address = f"file://{report.folder}/index.html#{question}"
        return subprocess.run([*command, address], capture_output=True, text=True, timeout=120).stdout

    dom = page("words=watercolor+dark")
    shown = re.findall(r'<h3><a href="#adapter=[^"<> ]*">([^<]*)</a>', dom)
    assert shown[0] == "bob/dark-paint" and "Understood: watercolor; dark." in dom
    assert "surely: every interval lies above 0" in dom
    everything = page("order=newest")
    assert "owned" not in re.search(r"<title>(.*?)</title>", everything)[1]
    one = page("adapter=bob/dark-paint")
    assert "Back to the results" in one and 'alt="' in one
    assert "No concept of this catalog is called" in page("words=asdfgh+qwerty")


def test_samples_show_no_picture_that_a_tag_for_adults_ever_covered(world, build, tmp_path):
    def tag(repo_id):
        world.repos = [replace(repo, nsfw=repo.nsfw or repo.repo_id == repo_id) for repo in world.repos]

    world.add("ann/plain", {"vibrant": 0.9})
    for name in ("eve/tagged", "eve/gone", "eve/changed"):
        world.add(name, {"watercolor": 0.9})
    write_result(world.results, build.result(world.item("ann/shared", content="same"), world.recipe, world.lexicon, {}))
    world.item("eve/copy", content="same")
    for name in ("eve/tagged", "eve/gone", "eve/changed", "eve/copy"):
        tag(name)
    world.repos = [repo for repo in world.repos if repo.repo_id != "eve/gone"]
    world.items = [item for item in world.items if item.repo_id not in ("eve/gone", "eve/changed")]
    world.item("eve/changed", content="a new file, not audited yet", commit_sha="b" * 40)
    report = world.merge()
    assert report.reconciles and report.unreferenced == 2
    export(world.database, tmp_path / "out", world.results, ["tables", "site"])
    shown = pq.read_table(tmp_path / "out/data/samples/samples.parquet").column("file_sha256").to_pylist()
    assert set(shown) == {build.sha("ann/plain")}
    pages = [path.read_text() for path in (tmp_path / "out/pages").rglob("*.html")]
    hidden = {name for page in pages for name in re.findall(r"<title>(\w+/\w+)", page) if "Show the pictures" in page}
    assert len(pages) == 4 and hidden == {"eve/tagged", "eve/copy", "ann/shared"}


def test_a_folder_of_somebody_else_is_not_replaced(hostile, tmp_path):
    world, _ = hostile
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not an earlier export"):
        export(world.database, tmp_path, world.results)
    with pytest.raises(UserError, match="not an earlier export"):
        export(world.database, tmp_path / "thesis.txt", world.results, dry_run=True)
    assert files_of(tmp_path) == ["thesis.txt"]


def test_an_export_is_replaced_whole_or_not_at_all(hostile, tmp_path, monkeypatch):
    world, _ = hostile
    target = tmp_path / "out"
    export(world.database, target, world.results, ["csv"])
    before = {name: (target / name).read_bytes() for name in files_of(target)}

    def broken(*arguments):
        raise OSError("disk on fire")

    monkeypatch.setattr(bundle, "write_jsonl", broken)
    with pytest.raises(OSError, match="fire"):
        export(world.database, target, world.results, ["csv", "jsonl"])
    assert {name: (target / name).read_bytes() for name in files_of(target)} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    monkeypatch.undo()
    (tmp_path / ".out.1.abcd.tmp").mkdir()  # left behind by one that was killed
    report = export(world.database, target, world.results, ["jsonl"])
    assert files_of(target) == ["SHA256SUMS", "catalog.jsonl", "export.json"] and report.files == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_an_exchange_the_folder_is_replaced_too(tmp_path, monkeypatch):
    monkeypatch.setattr("auditor.catalog.export.folders._exchange", lambda one, other: False)
    for text in ("one", "two"):
        with new_folder(tmp_path / "out") as folder:
            (folder / "export.json").write_text(text)
    assert (tmp_path / "out/export.json").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_dry_run_writes_nothing(hostile, tmp_path):
    world, report = hostile
    planned = export(world.database, tmp_path / "out", world.results, dry_run=True)
    assert planned.rows == dict(report.rows) and planned.files == 0
    assert list(tmp_path.iterdir()) == []
