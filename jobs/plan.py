"""Scheduler stage: write the manifest and print, alone on stdout, how many array tasks it needs."""

import sys
from pathlib import Path

from auditor import stages
from auditor.settings import resolve


def main() -> None:
    """Plan with the settings of the environment and auditor.toml."""
    settings = resolve(config=None, profile=None, work_dir=Path(sys.argv[1]) if len(sys.argv) > 1 else None).settings
    with stages.hub(settings) as client:
        manifest = stages.plan(settings, client)
    print(max(1, -(-len(manifest.items) // settings.cluster.items_per_task)))


if __name__ == "__main__":
    main()
