"""The catalog: merge of result files into one DuckDB file, search and SQL on it, cards and pages.

Only `merge` writes the database. It builds a new file beside the old one and swaps it in, so readers never wait.
"""
