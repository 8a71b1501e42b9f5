"""Adapter files: recognise, judge, and bring to one form. Nothing in a file is trusted."""
