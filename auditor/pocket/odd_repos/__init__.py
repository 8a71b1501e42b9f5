"""Odd repos of the pocket Hub: every shape that strangers' repos come in, made from the zoo's trained weights.

    for repo in odd_repos(zoo, base):   # when the Hub starts, in a fraction of a second
        index.add([repo.served()])

Nothing here is stored: the bytes are derived each time, the same each time. What should become of each repo is not
said here, so that nothing which scores can look it up; tests/shapes holds the expectations.
"""

from auditor.pocket.odd_repos.catalogue import OWNER, odd_repos
from auditor.pocket.odd_repos.repo import OddRepo

__all__ = ["OWNER", "OddRepo", "odd_repos"]
