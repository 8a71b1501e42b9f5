"""Scheduler stage on a node with a network: fetch the files of the plan. Options are those of `auditor prefetch`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["prefetch", *sys.argv[1:]])
