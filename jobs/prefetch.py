"""Scheduler stage: download what the audits will read. Options are those of `auditor prefetch`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["prefetch", *sys.argv[1:]])
