"""What every table of settings shares: strictness, and the types of names and paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from auditor.common.package_paths import expand

LocalPath = Annotated[Path, BeforeValidator(expand)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
OWN_FILE = "or the path of a .json file"
NameOrFile = Annotated[str, Field(min_length=1, max_length=4096), OWN_FILE]
Share = Annotated[float, Field(ge=0, le=1)]
# Lower case and without dashes, so that an environment variable can name every base.
BaseKey = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]


class Section(BaseModel):
    """One table of auditor.toml: frozen, and strict about names."""

    # Not `use_attribute_docstrings`: it parses the source of every section at every start, for the reference alone.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
