"""Scheduler stage: audit one slice of the manifest. Options are those of `auditor audit`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["audit", *sys.argv[1:]])
