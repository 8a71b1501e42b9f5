"""The embedded default: a miniature world, the models trained on it, and its Hub.

Everything here is small but real: the same classes, file formats and code paths as production.
"""
