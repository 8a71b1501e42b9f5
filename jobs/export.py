"""Scheduler stage: write the catalog as files. Options are those of `auditor export`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["export", *sys.argv[1:]])
