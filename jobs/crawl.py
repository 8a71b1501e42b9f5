"""Scheduler stage: list the Hub. Options are those of `auditor crawl`."""

import sys

from auditor.cli.start import start

if __name__ == "__main__":
    start(["crawl", *sys.argv[1:]])
