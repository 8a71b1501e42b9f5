"""A Hugging Face Hub on the loopback interface, over a folder of repos.

    with serve("zoo", page_size=50) as hub:
        HfApi(endpoint=hub.endpoint).list_models(filter="lora")

`zoo/<owner>/<name>/` holds a repo's files; an optional `.hub.json` beside them holds what the real Hub
keeps elsewhere (dates, counters, gated, disabled, ...). The unmodified `huggingface_hub` client can list,
page, inspect and download: large files are redirected to a second port that plays the CDN.
`hub.faults` makes it misbehave on request; `hub.requests` is what was asked of it.
"""

from auditor.pocket.hub_server.api import Identity
from auditor.pocket.hub_server.faults import Fault, Faults
from auditor.pocket.hub_server.files import RepoFile
from auditor.pocket.hub_server.index import HubIndex, Repo, RepoMeta, synthetic_repo
from auditor.pocket.hub_server.rate_limit import RateLimit
from auditor.pocket.hub_server.serving import HubServer, SeenRequest, serve

__all__ = [
    "Fault",
    "Faults",
    "HubIndex",
    "HubServer",
    "Identity",
    "RateLimit",
    "Repo",
    "RepoFile",
    "RepoMeta",
    "SeenRequest",
    "serve",
    "synthetic_repo",
]
