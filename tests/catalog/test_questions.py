"""Questions: every case is read alike by the command line (Python) and by the site's script (node)."""

import json
import random
import shutil
import subprocess
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.catalog.questions.grammar import load_grammar
from auditor.catalog.questions.question import CatalogWords
from auditor.catalog.questions.question_reader import MAX_CHARS, read_question
from auditor.catalog.questions.question_wording import understood
from auditor.catalog.questions.spelling import corrected, nearest, related_forms, slips
from auditor.errors import UserError
from auditor.lexicons import concept_key, load_lexicon

HERE = Path(__file__).parent
CATALOG = HERE.parent.parent / "auditor" / "catalog"
SHARED = json.loads((HERE / "question_cases.json").read_text(encoding="utf-8"))
CASES = SHARED["cases"]
node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def shared_words(lexicon_name):
    lexicon = load_lexicon(lexicon_name)
    names = [name for concept in lexicon.concepts for name in (concept.name, *concept.aliases)]
    aliases = {concept_key(n): c.name for c in lexicon.concepts for n in (c.name, *c.aliases)}
    return {**SHARED["words"], "aliases": aliases, "aliasNames": names}


def python_words(lexicon_name):
    words = shared_words(lexicon_name)
    repos = words["repos"]
    return CatalogWords(
        words["aliases"],
        tuple(words["aliasNames"]),
        tuple(words["bases"]),
        tuple(words["licences"]),
        frozenset(words["owners"]),
        lambda text: any(text in repo for repo in repos),
        date.fromisoformat(words["today"]),
    )


POCKET = python_words("pocket-1")
NAMES = st.sampled_from(POCKET.alias_names)


def lean(question):
    """As in the file of cases: without what says nothing."""
    return {k: v for k, v in json.loads(json.dumps(question)).items() if v not in ([], {}, None, "best")}


def read(text, words=POCKET):
    return lean(asdict(read_question(text, words)))


def by_script(questions, lexicon_name="pocket-1", **words):
    files = (HERE / "question_run.mjs", CATALOG / "questions" / "grammar.json", CATALOG / "templates" / "question.js")
    done = subprocess.run(
        ["node", *files],
        input=json.dumps({"words": shared_words(lexicon_name) | words, "questions": questions}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["question"] or "empty")
def test_cases_as_the_command_line_reads_them(case):
    words = python_words(case.get("lexicon", "pocket-1"))
    if "refused" in case:
        with pytest.raises(UserError) as refusal:
            read_question(case["question"], words)
        assert str(refusal.value).startswith(case["refused"])
    else:
        assert read(case["question"], words) == case["read"]


@node
@pytest.mark.parametrize("lexicon", ["pocket-1", "general-1"])
def test_cases_as_the_site_reads_them(lexicon):
    cases = [case for case in CASES if case.get("lexicon", "pocket-1") == lexicon]
    for case, answer in zip(cases, by_script([case["question"] for case in cases], lexicon), strict=True):
        if "refused" in case:
            assert answer["refused"].startswith(case["refused"]), case
        else:
            assert lean(answer["read"]) == case["read"]


@node
def test_both_readers_agree_on_random_questions():
    """Names, slips and every word of the grammar in random order; refusals must coincide too."""
    grammar = load_grammar()
    draw = random.Random(11)
    pieces = [*POCKET.alias_names, *sorted(grammar.silent), *sorted(grammar.words), *grammar.everyday, ",", "-", "un",
              "slightly", "> 0.3", "under 50 mb", "mit licence", "for sdxl", "newest", "top 3", "@mkr", "vibrnat",
              "cottage", "than", "isn't", "commercial use ok", "trigger:sks", "foggyness", "/", "&",
              "not", "in 2024", "last", "few", "weeks", "2 months", "ago", "since", "march", "older than", "five",
              "top", "12", "2025-13", "over 5 likes", "downloads", "nsfw", "= 0.5", "0.25", "50 %",
              'base:""', "mkr/moss-lora"]  # fmt: skip
    questions = [" ".join(draw.choices(pieces, k=draw.randint(1, 7))) for _ in range(400)]
    for question, answer in zip(questions, by_script(questions), strict=True):
        try:
            expected = read(question)
        except UserError:
            assert "refused" in answer, question
            continue
        assert lean(answer["read"]) == expected, question


@given(st.lists(NAMES, min_size=1, max_size=8, unique_by=lambda name: POCKET.aliases[concept_key(name)]))
@settings(deadline=None)
def test_any_names_in_any_order_are_found(names):
    question = read_question(f"most {', '.join(names)} LoRA", POCKET)
    assert question.concepts("wanted") == [POCKET.aliases[concept_key(name)] for name in names]
    assert question.phrases == ()


@given(
    NAMES, st.sampled_from(["not {}", "no {}", "without {}", "-{}", "non-{}", "isn't {}", "neither {}", "free of {}"])
)
def test_every_spelling_of_a_negation_is_one(name, form):
    concept = POCKET.aliases[concept_key(name)]
    other = "bright" if concept != "bright" else "warm"
    question = read_question(f"{other}, {form.format(name)}", POCKET)
    assert (question.concepts("wanted"), question.concepts("without")) == ([other], [concept])


@settings(max_examples=200)
@given(st.text(max_size=120))
def test_any_text_is_read_or_refused(text):
    try:
        question = read_question(text, POCKET)
    except UserError:
        return
    assert question.wishes or question.filters or question.like or question.repo or question.order != "best"
    assert all(
        name.concept in POCKET.aliases.values() or name.concept is None
        for wish in question.wishes
        for name in wish.names
    )
    assert understood(question)


@given(NAMES, st.data())
def test_one_slip_in_a_long_word_is_mended(name, data):
    if not name.isalpha() or len(name) < 8 or concept_key(name) != name:
        return
    place = data.draw(st.integers(1, len(name) - 3))
    slipped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    if slipped != name and concept_key(slipped) == slipped:
        assert read_question(slipped, POCKET).concepts("wanted") == [POCKET.aliases[concept_key(name)]]


@node
@pytest.mark.parametrize(
    ("today", "typed", "since", "before"),
    [
        ("2026-03-31", "dark last month", "2026-02-28", None),
        ("2024-03-31", "dark, past month", "2024-02-29", None),
        ("2024-02-29", "dark from last year", "2023-02-28", None),
        ("2026-01-05", "dark from the last 3 months", "2025-10-05", None),
        ("2026-01-01", "dark uploaded yesterday", "2025-12-31", "2026-01-01"),
        ("2026-01-01", "dark this week", "2025-12-29", None),
        ("2025-12-28", "dark this week", "2025-12-22", None),
        ("2026-01-15", "dark since december", "2025-12", None),
        ("2026-12-15", "dark in december", "2026-12", "2027-01"),
        ("2026-01-15", "dark, the last 36 hours", "2026-01-13", None),
        ("2026-01-15", "dark older than two years", None, "2024-01-15"),
        ("2026-01-15", "dark on february 28, 2024", "2024-02-28", "2024-02-29"),
        ("2026-01-15", "dark between march 2024 and dec 2025", "2024-03", "2026-01"),
    ],
)
def test_days_are_counted_from_today(today, typed, since, before):
    question = read_question(typed, replace(POCKET, today=date.fromisoformat(today)))
    bounds = {"created_after": since, "created_before": before}
    assert question.concepts("wanted") == ["dark"]
    assert question.filters == {name: day for name, day in bounds.items() if day is not None}
    (answer,) = by_script([typed], today=today)
    assert answer["read"]["filters"] == question.filters


@pytest.mark.parametrize("typed", ["since 31 february 2025", "on 2025-06-31", "dark after february 30, 2024"])
def test_days_that_never_were_are_refused(typed):
    with pytest.raises(UserError, match="is not known here; dates are written"):
        read_question(typed, POCKET)
    (answer,) = by_script([typed])
    assert "is not known here; dates are written" in answer["refused"]


def test_slips_are_counted_as_people_make_them():
    pairs = [("blur", "blur"), ("vibrnat", "vibrant"), ("", "ab"), ("dark", "park"), ("abc", "ca")]
    assert [slips(one, two) for one, two in pairs] == [0, 1, 2, 1, 3]


def test_excess_is_refused():
    with pytest.raises(UserError, match="at most 8"):
        read(", ".join(list(dict.fromkeys(POCKET.aliases.values()))[:9]))
    with pytest.raises(UserError, match="characters"):
        read("x" * (MAX_CHARS + 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slightly vibrant, not dark, mit licence", "slightly vibrant (0.1 to 0.4); without dark; licence mit"),
        ("striped or dotted, newest", "striped or dotted; newest first"),
        ("like ana-k/meadow-lora but more vibrant", "like ana-k/meadow-lora; more vibrant"),
        ("vibrnat > 0.5", "vibrant (0.5 or more) (vibrnat read as vibrant)"),
        ("meadow", "adapters called meadow"),
    ],
)
def test_the_question_is_said_back(text, said):
    assert understood(read_question(text, POCKET)) == said


@node
@pytest.mark.parametrize(
    ("typed", "repo"),
    [("vibrant", None), ("dark/bright", None), ("dark/moody", "dark/moody"), ("moody", "moody"), ("the", None)],
)
def test_what_names_concepts_is_no_name_of_a_repo_though_one_is_called_so(typed, repo):
    repos = ["ann/vibrant-lora", "dark/moody", "bob/the-lora"]
    words = replace(POCKET, holds=lambda text: any(text in name for name in repos))
    if typed == "the":
        with pytest.raises(UserError, match="say what the adapter should do"):
            read_question(typed, words)
        assert "say what the adapter should do" in by_script([typed], repos=repos)[0]["refused"]
        return
    assert read_question(typed, words).repo == repo
    assert by_script([typed], repos=repos)[0]["read"]["repo"] == repo


@pytest.mark.parametrize(
    ("typed", "known", "found"),
    [
        ("abcde", ["abcdx"], ["abcdx"]),
        ("abcdefg", ["abcdexy"], []),
        ("abcdefgh", ["abcdefxy"], ["abcdefxy"]),
        ("abcdefgh", ["abcdexyz"], []),
        ("abcdefgh", ["abcdefxy", "abcdefgx", "abcdefgy"], ["abcdefgx", "abcdefgy"]),
        ("abcde", ["xbcde"], []),
        ("abcde", ["abcd"], ["abcd"]),
        ("abcd", ["abc"], []),
    ],
)
def test_a_slip_is_one_from_five_letters_on_and_two_from_eight(typed, known, found):
    assert nearest(typed, known) == found


@pytest.mark.parametrize(
    ("word", "form", "related"),
    [("dimmer", "dim", True), ("flattest", "flat", True), ("darker", "dar", False), ("rarer", "ra", False)],
)
def test_one_of_two_equal_letters_before_an_ending_is_dropped_and_no_other(word, form, related):
    assert (form in set(related_forms(word, load_grammar()))) is related


@pytest.mark.parametrize(("typed", "read_as"), [("drak", "drak"), ("brigth", "bright"), ("brihgt", "bright")])
def test_words_of_fewer_than_five_letters_are_as_typed(typed, read_as):
    assert corrected(typed, POCKET, load_grammar())[0] == read_as


def test_a_slip_is_mended_only_where_all_that_is_as_near_means_one_thing():
    for meanings, read_as in ((("a", "b"), "striqe"), (("a", "a"), "stripe")):
        words = CatalogWords(dict(zip(("stripe", "strike"), meanings, strict=True)), ("stripe", "strike"))
        assert corrected("striqe", words, load_grammar())[0] == read_as
        known = replace(words, holds=lambda text: text == "striqe")
        assert corrected("striqe", known, load_grammar())[0] == "striqe"


def test_the_longest_question_is_read():
    assert read("vibrant".ljust(MAX_CHARS - 1) + "!")["wishes"]
