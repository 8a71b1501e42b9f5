"""Scheduler stage: submit the rest of a run. Options are those of `auditor submit`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["submit", *sys.argv[1:]])
