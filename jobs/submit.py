"""Scheduler stage: submit the rest of a run. Options are those of `auditor submit`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["submit", *sys.argv[1:]])
