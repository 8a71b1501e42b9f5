"""Load a lexicon, check it, and match free phrases to its concepts."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from auditor.common.packaged_json import read_packaged
from auditor.errors import UserError

# British spellings inside a word. Both sides of a comparison go through these, so a rule that also hits an
# innocent word does no harm as long as two concepts do not fall together, which loading checks.
_SPELLINGS = (
    (re.compile(r"colour"), "color"),
    (re.compile(r"grey"), "gray"),
    (re.compile(r"mould"), "mold"),
    (re.compile(r"moustach"), "mustach"),
    (re.compile(r"jewellery"), "jewelry"),
    (re.compile(r"aluminium"), "aluminum"),
    (re.compile(r"sombre"), "somber"),
    (re.compile(r"(cent|lust|fib|theat|spect|och)re"), r"\1er"),
    (re.compile(r"(arm|vap|harb)our"), r"\1or"),
    (re.compile(r"is(e|ed|er|ing|ation)\b"), r"iz\1"),
    (re.compile(r"ll"), "l"),  # pencilled, pixellated, panelled
)


@lru_cache(maxsize=8192)
def concept_key(phrase: str) -> str:
    """Reduce a phrase to what its spelling variants share.

    Case, spaces, hyphens, other punctuation, plural endings and British spelling do not matter:
    "Water-Colours" and "watercolor" have the same key.
    """
    words = []
    for word in re.findall(r"\w+", phrase.casefold().replace("_", " ").replace("'", "").replace("’", "")):
        for pattern, replacement in _SPELLINGS:
            word = pattern.sub(replacement, word)
        words.append(_singular(word))
    return "".join(words)


@dataclass(frozen=True)
class Concept:
    """One concept: its canonical name, the facet it belongs to, and other names for the same thing."""

    name: str
    facet: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lexicon:
    """A versioned list of concepts.

    Attributes:
        name: Family, such as "general".
        version: Increases whenever anything below changes; scores of different versions do not mix.
        template: How a concept joins a prompt, with the fields {prompt} and {concept}.
        neutral_words: Words that say nothing about style; they span the "text was appended" direction.
        concepts: The concepts, in the fixed order of the basis.
    """

    name: str
    version: int
    template: str
    neutral_words: tuple[str, ...]
    concepts: tuple[Concept, ...]
    _by_key: dict[str, str] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        """Check every entry and index all names and aliases."""
        for needed in ("{prompt}", "{concept}"):
            if self.template.count(needed) != 1:
                raise UserError(f"lexicon {self.name}: the template must hold {needed} once: {self.template!r}")
        by_key: dict[str, str] = {}
        for concept in self.concepts:
            for phrase in (concept.name, *concept.aliases):
                if phrase != phrase.casefold().strip() or not concept_key(phrase):
                    raise UserError(f"lexicon {self.name}: {phrase!r} must be lower case, trimmed and not empty")
                taken = by_key.setdefault(concept_key(phrase), concept.name)
                if taken != concept.name:
                    raise UserError(f"lexicon {self.name}: {phrase!r} of {concept.name!r} already belongs to {taken!r}")
            if not concept.facet:
                raise UserError(f"lexicon {self.name}: {concept.name!r} has no facet")
        if len({concept.name for concept in self.concepts}) != len(self.concepts):
            raise UserError(f"lexicon {self.name}: a concept is listed twice")
        object.__setattr__(self, "_by_key", by_key)

    @property
    def identifier(self) -> str:
        """Name and version, such as "general-1"."""
        return f"{self.name}-{self.version}"

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names in basis order."""
        return tuple(concept.name for concept in self.concepts)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of everything that can change a score, independent of file layout."""
        content = {
            "name": self.name,
            "version": self.version,
            "template": self.template,
            "neutral_words": self.neutral_words,
            "concepts": [(c.name, c.facet, c.aliases) for c in self.concepts],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def canonical(self, phrase: str) -> str | None:
        """Name of the concept that `phrase` is a spelling or an alias of, or None."""
        return self._by_key.get(concept_key(phrase))

    def phrase(self, prompt: str, concept: str) -> str:
        """Join a concept, or any other phrase, to a prompt (t with C of Eq. 6)."""
        # Not str.format: prompts and proposed phrases may hold braces.
        before, after = self.template.split("{concept}")
        return before.replace("{prompt}", prompt) + concept + after.replace("{prompt}", prompt)


def load_lexicon(name: str | Path, template: str | None = None) -> Lexicon:
    """Load a lexicon that comes with the package ("general-1", "pocket-1"), or a JSON file of your own.

    Args:
        name: Of a shipped lexicon, or the path of a `.json` file.
        template: How a concept joins a prompt, instead of the lexicon's own way.

    Raises:
        UserError: There is no such lexicon, or it is not well formed.
    """
    raw: Any = read_packaged("auditor.lexicons", name, "lexicon")
    try:
        concepts = tuple(
            Concept(str(entry["name"]), str(entry["facet"]), tuple(map(str, entry.get("aliases", ()))))
            for entry in raw["concepts"]
        )
        neutral = tuple(map(str, raw["neutral_words"]))
        lexicon = Lexicon(str(raw["name"]), int(raw["version"]), str(raw["template"]), neutral, concepts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"lexicon {name} is not well formed ({error!r}); see general-1.json") from error
    return lexicon if template is None else replace(lexicon, template=template)


def _singular(word: str) -> str:
    """A common form for singular and plural, which need not be a word: churches, church -> church."""
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    word = word.removesuffix("s")
    if word.endswith(("che", "she", "xe", "sse", "ze")):
        return word[:-1]
    return word[:-2] + "y" if word.endswith("ie") else word
