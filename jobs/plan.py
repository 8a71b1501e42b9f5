"""Scheduler stage: write the manifest. Options are those of `auditor plan`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["plan", *sys.argv[1:]])
