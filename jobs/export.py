"""Scheduler stage: write pages and files from the catalog. Options are those of `auditor export`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["export", *sys.argv[1:]])
