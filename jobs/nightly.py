"""Scheduler stage: the whole chain in one process, for machines without a scheduler."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["nightly", *sys.argv[1:]])
