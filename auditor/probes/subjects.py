"""Adapters for one subject: what a trigger such as "a photo of sks dog" names, and the contexts to ask for it in.

Plain probes show little of such an adapter: a dog stands in one of 200. So it is asked for in its own contexts, with
the word it was taught ("a sks dog on a beach"), and compared with the base asked for the class alone ("a dog on a
beach").
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from auditor.common.packaged_json import read_packaged
from auditor.errors import UserError

SLOT: Final = "{subject}"
_MAX_CHARS: Final = 300
_MAX_WORDS: Final = 12
_WORD = re.compile(r"<[^<>\s]{1,40}>|[^\W_][\w'-]{0,39}")


@dataclass(frozen=True)
class Subject:
    """What a trigger text names.

    Attributes:
        token: The word that was taught, as the uploader wrote it: hostile text.
        noun: Class of the subject, one of the contexts' classes.
        phrase: Token and class as written, such as "red sks dog": hostile text.
        plain: The same without the token, such as "red dog"; made of the contexts' own words.
    """

    token: str
    noun: str
    phrase: str
    plain: str


@dataclass(frozen=True)
class SubjectContexts:
    """Prompts with a place for the subject, with one noise seed each, and the words to tell a subject by.

    Attributes:
        name: Name and version, such as "subject-1".
        prompts: Each with one `{subject}`, in the fixed nested order.
        seeds: One noise seed per prompt.
        classes: Class nouns that are known.
        plural_classes: Those of them that take no article.
        ordinary_words: Words that no adapter has to be taught.
        style_words: Words that say that a style was taught, not a subject.
        aliases: Other words for a class, as tags have them.
    """

    name: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    classes: frozenset[str]
    plural_classes: frozenset[str]
    ordinary_words: frozenset[str]
    style_words: frozenset[str]
    aliases: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check that prompts are distinct and have one place for the subject."""
        if not self.prompts or len(self.prompts) != len(self.seeds) or len(set(self.prompts)) != len(self.prompts):
            raise UserError(f"subject contexts {self.name}: prompts must differ, with a seed each")
        if any(prompt.count(SLOT) != 1 for prompt in self.prompts):
            raise UserError(f"subject contexts {self.name}: every prompt needs one {SLOT}")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise UserError(f"subject contexts {self.name}: seeds must lie between 0 and 2^32 - 1")
        if strange := set(self.aliases.values()) - self.nouns:
            raise UserError(f"subject contexts {self.name}: {', '.join(sorted(strange))} is no class")

    def __len__(self) -> int:
        """Number of contexts."""
        return len(self.prompts)

    @cached_property
    def nouns(self) -> frozenset[str]:
        """All classes."""
        return self.classes | self.plural_classes

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of all that can change a prompt."""
        words = [sorted(w) for w in (self.classes, self.plural_classes, self.ordinary_words, self.style_words)]
        content = json.dumps([list(self.prompts), list(self.seeds), words, sorted(self.aliases.items())])
        return hashlib.sha256(content.encode()).hexdigest()

    def filled(self, words: str, noun: str) -> tuple[str, ...]:
        """The prompts about a subject.

        Args:
            words: `Subject.phrase` or `Subject.plain`.
            noun: Its class.
        """
        return tuple(_with_article(prompt, words, noun in self.plural_classes) for prompt in self.prompts)


def load_contexts(name: str | Path) -> SubjectContexts:
    """Load contexts that come with the package ("subject-1"), or a JSON file of your own.

    Raises:
        UserError: There are none of this name, or they are not well formed.
    """
    raw: Any = read_packaged("auditor.probes.contexts", name, "subject contexts")
    try:
        lists = ("classes", "plural_classes", "ordinary_words", "style_words")
        classes, plural, ordinary, styles = (frozenset(str(w).casefold() for w in raw[key]) for key in lists)
        return SubjectContexts(
            f"{raw['name']}-{int(raw['version'])}",
            tuple(str(c["prompt"]) for c in raw["contexts"]),
            tuple(int(c["seed"]) for c in raw["contexts"]),
            classes,
            plural,
            ordinary,
            styles,
            {str(k).casefold(): str(v) for k, v in raw["aliases"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"subject contexts {name} are not well formed ({error!r}); see subject-1.json") from error


@lru_cache(maxsize=4)
def known_contexts(name: str) -> SubjectContexts:
    """The same, read once."""
    return load_contexts(name)


def find_subject(texts: Sequence[str], contexts: SubjectContexts) -> Subject | None:
    """The subject that declared texts name; None for styles, and where no class is known.

    The first text that holds both a taught word and a class decides. Else the first one's taught word goes with the
    first class that another text names: a file's most frequent tags are often `ohwx`, `1girl`.

    Args:
        texts: Trigger, instance prompt, tags: the most trusted first. Hostile text.
        contexts: Where the classes stand.
    """
    read = [_Words.of(text, contexts) for text in texts]
    if any(words.style for words in read[:1]):
        return None
    for words in read:
        if (found := words.subject()) is not None:
            return found
    token = next((t for t in (words.lone_token() for words in read) if t), None)
    noun = next((n for n in (words.lone_class() for words in read) if n), None)
    return Subject(token, noun, f"{token} {noun}", noun) if token and noun else None


@dataclass(frozen=True)
class _Words:
    """One text, cut into words, and what each is."""

    text: str
    spans: tuple[tuple[int, int], ...]
    nouns: tuple[str | None, ...]
    taught: tuple[bool, ...]
    style: bool

    @classmethod
    def of(cls, text: str, contexts: SubjectContexts) -> _Words:
        text = text[:_MAX_CHARS]
        spans = tuple(m.span() for m in _WORD.finditer(text))[:_MAX_WORDS]
        words = [text[a:b] for a, b in spans]
        plain = [word.casefold() for word in words]
        nouns = tuple(contexts.aliases.get(w, w if w in contexts.nouns else None) for w in plain)
        ordinary = contexts.ordinary_words | contexts.style_words
        taught = tuple(n is None and w not in ordinary for n, w in zip(nouns, plain, strict=True))
        return cls(text, spans, nouns, taught, any(w in contexts.style_words for w in plain))

    def subject(self) -> Subject | None:
        """Taught words directly before or after the first class, and the ordinary words between."""
        if self.style or (place := next((i for i, n in enumerate(self.nouns) if n), None)) is None:
            return None
        while place + 1 < len(self.nouns) and self.nouns[place + 1] and self._adjoin(place):
            place += 1  # of "cat toy", the toy
        noun = self.nouns[place]
        first = next((i for i, taught in enumerate(self.taught[:place]) if taught), None)
        if first is not None:
            start, stop = first, place
            while start and self._ordinary(start - 1) and self._adjoin(start - 1):
                start -= 1  # "red and white TOK sneakers"
        elif place + 1 < len(self.taught) and self.taught[place + 1]:
            start, stop = place, place + 1
        else:
            return None
        places = range(start, stop + 1)
        # the class by its own name, not by a tag's
        words = {i: noun if i == place and noun else self._word(i) for i in places}
        token, plain = ([i for i in places if self.taught[i] == wanted] for wanted in (True, False))
        return Subject(
            self._joined(token, words), noun or "", self._joined(places, words), self._joined(plain, words).casefold()
        )

    def _joined(self, places: Sequence[int], words: Mapping[int, str]) -> str:
        """Words with a blank between, but for those that were written as one (`<s0><s1>`)."""
        text = ""
        for i in places:
            written_as_one = i - 1 in places and self.spans[i - 1][1] == self.spans[i][0]
            text += words[i] if not text or written_as_one else f" {words[i]}"
        return text

    def lone_token(self) -> str | None:
        """The taught word of a text that holds nothing else of note; it may be a name of two or three."""
        places = [i for i, t in enumerate(self.taught) if t]
        one = 0 < len(places) <= 3 and places == list(range(places[0], places[-1] + 1))
        if not one or any(self.nouns) or self.style:
            return None
        return self._joined(places, {i: self._word(i) for i in places})

    def lone_class(self) -> str | None:
        """The class that a text names."""
        return None if self.style else next((n for n in self.nouns if n), None)

    def _word(self, place: int) -> str:
        start, stop = self.spans[place]
        return self.text[start:stop]

    def _ordinary(self, place: int) -> bool:
        skipped = ("a", "an", "the", "of", "photo", "image", "picture", "photograph", "portrait")
        return not self.taught[place] and self.nouns[place] is None and self._word(place).casefold() not in skipped

    def _adjoin(self, place: int) -> bool:
        """Whether nothing but blanks lies between a word and the next."""
        return not self.text[self.spans[place][1] : self.spans[place + 1][0]].strip()


def _with_article(prompt: str, words: str, plural: bool) -> str:
    if plural:
        return prompt.replace(f"a {SLOT}", SLOT).replace(SLOT, words)
    return re.sub(r"\ba (?=[aeiou])", "an ", prompt.replace(SLOT, words))
