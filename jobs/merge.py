"""Scheduler stage: build the catalog from all results. Options are those of `auditor merge`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["merge", *sys.argv[1:]])
