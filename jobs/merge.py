"""Scheduler stage: build the catalog from all results. Options are those of `auditor merge`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["merge", *sys.argv[1:]])
