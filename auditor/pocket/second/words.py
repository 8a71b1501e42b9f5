"""The pocket world's vocabulary beside the styles' own words: subjects, colours, grounds, sizes, and words for nothing.

Lexicon pocket-2 is made of these and of the styles' words (`lexicon_concepts`), so that it holds near-synonyms, words
for things that no adapter does, and more phrases than the encoder has dimensions.
"""

from __future__ import annotations

from auditor.pocket.second.styles.catalogue import STYLES

NEUTRAL_WORDS = ("picture", "image", "photo", "shown", "seen", "here", "simple", "plain", "normal", "usual")
"""Words that say nothing about looks; each appears in captions, so that the encoders learn exactly that."""

PLAIN_WORDS = (
    "sharp", "clean", "crisp", "upright", "unfiltered", "daylit", "smooth", "level", "uncropped", "untouched",
    "undistorted", "unbordered", "steady", "balanced", "flawless", "dry", "sunlit", "unmarked", "entire", "stable",
)  # fmt: skip
"""Opposites of styles: said of pictures that have none."""

EDIT_SYNONYMS: dict[str, tuple[str, str]] = {
    "moustache": ("whiskers", "mustached"),
    "snow-capped": ("snowy-roofed", "frosted"),
    "fruited": ("apple-laden", "berried"),
    "flagged": ("pennanted", "bannered"),
    "spotted": ("dappled", "polka-dotted"),
    "crowned": ("royal", "coroneted"),
    "haloed": ("angelic", "saintly"),
    "bubbling": ("bubbly", "fizzy"),
    "loaded": ("packed", "luggage-laden"),
    "steaming": ("piping-hot", "vapored"),
    "butterflied": ("pollinated", "winged"),
    "lamplit": ("lantern-lit", "window-lit"),
}

SUBJECT_SYNONYMS = {
    "boat": "ship", "house": "cottage", "tree": "oak", "star": "asterisk", "fish": "trout", "car": "automobile",
    "ball": "sphere", "cup": "mug", "face": "portrait", "flower": "daisy", "bird": "sparrow", "mushroom": "toadstool",
}  # fmt: skip
COLOUR_SYNONYMS = {
    "red": "ruby", "orange": "tangerine", "yellow": "lemon", "green": "emerald", "teal": "turquoise", "blue": "azure",
    "purple": "plum", "pink": "salmon", "brown": "chestnut", "white": "ivory",
}  # fmt: skip
GROUND_WORDS = {
    "on sand": "sandy", "on grass": "grassy", "on water": "watery", "on snow": "snowy", "at night": "nocturnal",
    "on brick": "bricked",
}  # fmt: skip

PLACEMENTS: dict[str, tuple[str, str]] = {
    "small": ("small", "tiny"),
    "large": ("large", "huge"),
    "left": ("left-placed", "leftward"),
    "right": ("right-placed", "rightward"),
}
"""Where and how large the subject is, with two words each."""

WEAK, STRONG = "slightly", "very"
"""Said of a style below and above what captions leave unsaid."""


def synonyms(concept: str) -> tuple[str, str]:
    """The two other words for a style or an edit."""
    return STYLES[concept].synonyms if concept in STYLES else EDIT_SYNONYMS[concept]


_FACETS = {
    "light": "light", "palette": "palette", "texture": "texture", "medium": "medium", "optics": "rendering_quality",
    "print": "texture", "composition": "composition",
}  # fmt: skip


def planted_synonyms() -> dict[str, str]:
    """Of every second style and edit the synonym that is a concept of its own, by style or edit."""
    return {name: synonyms(name)[0] for name in (*STYLES, *EDIT_SYNONYMS)[1::2]}


def lexicon_concepts() -> list[dict[str, object]]:
    """The concepts of lexicon pocket-2, as its file holds them.

    Of every second style and edit one synonym is a concept of its own (a planted near-synonym); the other synonyms are
    aliases.
    """
    concepts: list[dict[str, object]] = []
    named = [(s.name, _FACETS[s.family]) for s in STYLES.values()] + [(name, "subject") for name in EDIT_SYNONYMS]
    planted = planted_synonyms()
    for name, facet in named:
        first, second = synonyms(name)
        concepts.append({"name": name, "facet": facet, "aliases": [second] if name in planted else [first, second]})
        if name in planted:
            concepts.append({"name": first, "facet": facet, "aliases": []})
    things = [word for pair in SUBJECT_SYNONYMS.items() for word in pair]
    colours = [word for pair in COLOUR_SYNONYMS.items() for word in pair]
    places = [word for pair in PLACEMENTS.values() for word in pair]
    for facet, words in (("subject", things), ("palette", colours), ("subject", list(GROUND_WORDS.values())),
                         ("composition", places), ("rendering_quality", list(PLAIN_WORDS))):  # fmt: skip
        concepts += [{"name": word, "facet": facet, "aliases": []} for word in words]
    return concepts
