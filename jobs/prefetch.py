"""Scheduler stage on a node with a network: fetch the files of the plan. Options are those of `auditor prefetch`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["prefetch", *sys.argv[1:]])
