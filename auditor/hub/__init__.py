"""The Hub: what is there (listing), what uploaders say about it (cards), and the bytes (pinned download).

    client = connect(endpoint, token=...)
    report = crawl(client, default_queries(), state_dir)     # raw pages → listing.parquet, resumable
    for repo in iter_listing(listing_path(state_dir)):
        for item in units(repo): ...                          # Unit | SettledItem
    got = fetch(client, unit.repo_id, unit.path, commit_sha=unit.commit_sha, cache_dir=...)

Requests are the scarce resource. Listing costs one per page; sizes and hashes of files are *not* in a listing:
`ask_facts` asks for those of chosen files (one request per repo), `FileFacts` keeps them, and `fetch` needs
neither, because the download itself announces and then proves them.
"""
