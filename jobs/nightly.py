"""Scheduler stage: the whole chain in one process, for machines without a scheduler."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["nightly", *sys.argv[1:]])
