"""Scheduler stage: audit one slice of the manifest. Options are those of `auditor audit`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["audit", *sys.argv[1:]])
