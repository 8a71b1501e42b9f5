"""Scheduler stage: write the manifest. Options are those of `auditor plan`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["plan", *sys.argv[1:]])
