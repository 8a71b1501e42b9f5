"""Versioned concept lists, shared by every model that is scored on them."""

from auditor.lexicons.loader import Concept, Lexicon, concept_key, load_lexicon

__all__ = ["Concept", "Lexicon", "concept_key", "load_lexicon"]
