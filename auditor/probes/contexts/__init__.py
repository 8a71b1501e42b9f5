"""Contexts in which an adapter for one subject is asked for it, as JSON: versioned, never edited once published."""
