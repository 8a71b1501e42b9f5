"""Scheduler stage: name what the audits kept pictures of. Options are those of `auditor propose`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["propose", *sys.argv[1:]])
