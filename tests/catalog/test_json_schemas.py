"""The exported JSON Schemas are those of the records."""

import json

import pytest

from auditor.catalog.json_schemas import json_schemas, write_json_schemas
from auditor.common.package_paths import shipped_dir
from auditor.results.result_file import read_result


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_the_file_is_current(name):
    written = (shipped_dir("schemas") / name).read_text(encoding="utf-8")
    assert written == json_schemas()[name], "run `make docs` and commit the result"


def test_every_field_of_a_record_is_described():
    schema = json.loads(json_schemas()["audit_record.schema.json"])
    assert not [name for name, field in schema["properties"].items() if "description" not in field]


def test_a_stored_record_has_the_fields_of_the_schema(catalog):
    schema = json.loads(json_schemas()["audit_record.schema.json"])
    record = read_result(next(catalog.results.glob("*/*.safetensors"))).record.model_dump(mode="json")
    assert set(record) == set(schema["properties"])


def test_writing_again_changes_nothing(tmp_path):
    assert sorted(write_json_schemas(tmp_path)) == sorted(json_schemas())
    assert write_json_schemas(tmp_path) == []
