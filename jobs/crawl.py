"""Scheduler stage: list the Hub. Options are those of `auditor crawl`."""

import sys

from auditor.cli.main import run

if __name__ == "__main__":
    run(["crawl", *sys.argv[1:]])
