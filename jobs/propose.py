"""Scheduler stage: name what the audits kept pictures of. Options are those of `auditor propose`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["propose", *sys.argv[1:]])
