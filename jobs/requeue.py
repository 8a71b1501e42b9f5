"""Scheduler stage: may a job be put back in the queue? Exits with 0 and counts it, or with 1: it was there too often.

The one argument is what the job is counted under; AUDITOR_CONFIG names the settings of its run.
"""

import os
import sys
from pathlib import Path

from auditor.cluster.runs import open_run
from auditor.settings import resolve

if __name__ == "__main__":
    config = Path(os.environ["AUDITOR_CONFIG"])
    settings = resolve(config=config).settings
    run = open_run(settings, config.parent.name)
    sys.exit(0 if run.count_requeue(sys.argv[1], settings.cluster.requeue_limit) else 1)
