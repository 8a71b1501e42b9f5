"""Scheduler stage: write the catalog as files. Options are those of `auditor export`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["export", *sys.argv[1:]])
