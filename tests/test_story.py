from __future__ import annotations

import re
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shotstream.story import (
    Redirection,
    Shot,
    Story,
    StoryError,
    StoryFrame,
    StoryWarning,
    parse_lora_choice,
)

pytestmark = pytest.mark.unit

GOOD = """\
title: A walk
setting: A red cat in a meadow.
seed: 7
shots:
  - A wide shot of the cat.
  - prompt: The cat waves.
    seconds: 2.5
  - {prompt: "The cat: asleep.", chunks: 4, seed: 1}
"""


def saved(folder: Path, content: str | bytes, name: str = "story.yaml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_yaml(tmp_path):
    story = Story.read(saved(tmp_path, GOOD))
    assert (story.title, story.setting, story.seed) == ("A walk", "A red cat in a meadow.", 7)
    assert story.shots == [
        Shot(prompt="A wide shot of the cat."),
        Shot(prompt="The cat waves.", seconds=2.5),
        Shot(prompt="The cat: asleep.", chunks=4, seed=1),
    ]


def test_published_json_with_tabs_and_escapes(tmp_path):
    text = r"""{
	"global_caption":"A caf\u00e9 \ud83d\ude00",
	"shot2":"Two.",
	"shot1":"One \/ \"1\"."
}"""
    story = Story.read(saved(tmp_path, text, "story.json"))
    assert story.setting == "A café 😀"
    assert [shot.prompt for shot in story.shots] == ['One / "1".', "Two."]


def test_text_may_run_over_several_lines(tmp_path):
    story = Story.read(saved(tmp_path, "setting: |\n  A cat,\n   a hat.\nshots:\n  - The cat\n    waves.\n"))
    assert (story.setting, story.shots[0].prompt) == ("A cat, a hat.", "The cat waves.")


def test_ten_numbered_shots_stay_in_numeric_order(tmp_path):
    text = "global_caption: g\n" + "".join(f"shot{i}: number {i}\n" for i in range(1, 12))
    prompts = [shot.prompt for shot in Story.read(saved(tmp_path, text)).shots]
    assert prompts == [f"number {i}" for i in range(1, 12)]


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path):
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert Story.read(saved(tmp_path, content)) == Story.read(saved(tmp_path, GOOD, "plain.yaml"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
prompts = texts.map(lambda text: f"{text}!")
seeds = st.integers(0, 2**53 - 1)
lengths = st.one_of(
    st.just({}),
    st.builds(lambda seconds: {"seconds": seconds}, st.floats(0, 3600, exclude_min=True)),
    st.builds(lambda chunks: {"chunks": chunks}, st.integers(1, 10_000)),
)
loras = st.none() | st.lists(
    st.sampled_from(["style", "grain:0.5", "1e3", "yes", "1:30", "a b:-2e1"]), max_size=2
)
shots = st.builds(
    lambda prompt, seed, length, lora: Shot(prompt=prompt, seed=seed, lora=lora, **length),
    prompts,
    st.none() | seeds,
    lengths,
    loras,
)
stories = st.builds(
    Story,
    title=st.none() | texts,
    setting=texts,
    seed=seeds,
    lora=loras,
    shots=st.lists(shots, min_size=1, max_size=4),
)


@example(story=Story(setting="1e3", shots=["0E0", "null", "yes", "2026-01-01"]), suffix="yaml")
@settings(max_examples=60, deadline=None)
@given(story=stories, suffix=st.sampled_from(["yaml", "json"]))
def test_what_is_written_is_read_back(tmp_path_factory, story, suffix):
    path = tmp_path_factory.mktemp("story") / f"story.{suffix}"
    story.write(path)
    assert Story.read(path) == story


def read_quietly(folder: Path, content: str | bytes, name: str = "story.yaml") -> Story:
    story, notes = Story.read_with_notes(saved(folder, content, name))
    assert notes == []
    return story


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "Off", "12:30", "1:2:3", "0x1F", "2026-01-01", "1_0", "=", "0b1", "<<", "1e", "y"],
)
def test_what_is_no_number_to_people_is_text(tmp_path, text):
    story = read_quietly(tmp_path, f"title: {text}\nsetting: {text}\nshots:\n  - {text}\n")
    assert (story.title, story.setting, story.shots[0].prompt) == (text, text, text)


@pytest.mark.parametrize(("text", "number"), [("010", 10), ("1_000", 1000), ("0", 0), ("+7", 7), ("089", 89)])
def test_whole_numbers_are_read_to_base_ten(tmp_path, text, number):
    assert read_quietly(tmp_path, f"setting: x\nseed: {text}\nshots: [a]").seed == number


@pytest.mark.parametrize(("text", "seconds"), [("2", 2), ("2.", 2), (".5", 0.5), ("1e1", 10), ("2.5e0", 2.5)])
def test_seconds_may_have_a_point_or_an_exponent(tmp_path, text, seconds):
    story = read_quietly(tmp_path, f"setting: x\nshots: [{{prompt: a, seconds: {text}}}]")
    assert story.shots[0].seconds == seconds


CUT_OFF = """\
title: Part #1
setting: A red cat #2 in a meadow.
seed: 7  # lucky
shots:
  - Wide shot #3 of the cat.
  - "Wide shot #4 of the cat."
  - prompt: The cat
      waves #5 hello.
    seconds: 2  # short
# the end
"""


def test_a_comment_that_cuts_a_text_off_is_noted_at_its_line(tmp_path):
    story, notes = Story.read_with_notes(saved(tmp_path, CUT_OFF))
    assert story.shots[1].prompt == "Wide shot #4 of the cat."
    found = [
        re.search(r"yaml:(\d+): the text ends before '(#\d).*put the text in quotes", note) for note in notes
    ]
    assert [(int(note[1]), note[2]) for note in found if note] == [(1, "#1"), (2, "#2"), (5, "#3"), (7, "#5")]
    with pytest.warns(StoryWarning, match="#3 of the cat"):
        Story.read(tmp_path / "story.yaml")


def test_published_keys_are_noted_too(tmp_path):
    _, notes = Story.read_with_notes(saved(tmp_path, "global_caption: A cat #1.\nshot1: It runs #2.\n"))
    assert ["#1" in notes[0], "#2" in notes[1], len(notes)] == [True, True, 2]


UNSEEN = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202a", "\u180e"]


@pytest.mark.parametrize("sign", UNSEEN)
def test_characters_that_nobody_sees_are_left_out(tmp_path, sign):
    story = read_quietly(tmp_path, f"setting: {sign}A re{sign}d cat{sign}.\nshots: [It{sign} waves]\n")
    assert (story.setting, story.shots[0].prompt) == ("A red cat.", "It waves")


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\u3000", "\u202f", "\t", " \u00a0 "])
def test_blanks_of_every_kind_are_one_blank(tmp_path, blank):
    text = f'setting: "A red{blank}cat."\nshots: ["It{blank}waves"]\n'
    story = read_quietly(tmp_path, text)
    assert (story.setting, story.shots[0].prompt) == ("A red cat.", "It waves")


@pytest.mark.parametrize("text", ["👩\u200d🚀", "می\u200cخواهم", "क्\u200dष"])
def test_joiners_that_are_seen_stay(text):
    assert Shot(prompt=text).prompt == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_files_with_a_mark_are_read(tmp_path, encoding):
    assert read_quietly(tmp_path, "setting: café 狐\nshots: [a]\n".encode(encoding)).setting == "café 狐"


def test_utf_16_of_either_order_is_read(tmp_path):
    for mark, order in ((b"\xff\xfe", "le"), (b"\xfe\xff", "be")):
        content = mark + '{"setting": "café", "shots": ["a"]}'.encode(f"utf-16-{order}")
        assert read_quietly(tmp_path, content, "story.json").setting == "café"


def test_the_authors_files_may_have_other_keys(tmp_path):
    text = (
        '{"video_path": "a.mp4",\n"global_caption": "A cat.",\n"shot1": "Runs.", "fps": 16, "cuts": [1, 2]}'
    )
    story, notes = Story.read_with_notes(saved(tmp_path, text, "story.json"))
    assert story == Story(setting="A cat.", shots=["Runs."])
    (note,) = notes
    assert re.search(
        r"json:1: keys .* passed over: 'video_path', 'fps', 'cuts'; known here: global_caption", note
    )


def test_the_seam_of_setting_and_prompt_is_kept(tmp_path):
    """The authors' captions are put together without a blank, so theirs has to stay."""
    text = '{"global_caption": " A  cat. \u00a0", "shot1": "  It runs. ", "shot2": "It waves."}'
    story = read_quietly(tmp_path, text, "story.json")
    assert story.setting == "A cat. "
    assert [shot.prompt for shot in story.shots] == [" It runs.", "It waves."]


def test_twenty_mistakes_are_shown(tmp_path):
    text = "setting: x\nshots:\n" + "".join(f"  - {{prompt: a, chunks: -{number}}}\n" for number in range(35))
    with pytest.raises(StoryError) as caught:
        Story.read(saved(tmp_path, text))
    first, *others, last = str(caught.value).splitlines()
    assert first.endswith("has 35 mistakes:")
    assert len(others) == 20
    assert last.strip() == "and 15 more."


DIRECTED = """\
setting: A fox.
height: 32
width: 48
references: [fox.png, {picture: sub/owl.png, prompt: an owl}]
shots:
  - {prompt: runs, chunks: 3, take: 2, seed: 5, redirects: [{chunk: 1, prompt: sleeps}]}
  - {prompt: waves, pins: [{shot: 0, frame: 4}], references: []}
  - {prompt: sits, number: 3, remembers: [{shot: 0, take: 0, frame: 7}, {shot: 2, take: 1, frame: 0}]}
outtakes:
  - {prompt: runs, number: 0}
  - {prompt: hops, number: 2, take: 1}
"""


def test_a_directed_story_is_read_and_written(tmp_path):
    story = read_quietly(tmp_path, DIRECTED)
    assert story.numbers == [0, 1, 3]
    assert story.picture_names == {str(tmp_path / "fox.png"), str(tmp_path / "sub" / "owl.png")}
    assert story.shots[0].redirects == [Redirection(chunk=1, prompt="sleeps")]
    assert (story.shots[0].pins, story.shots[1].references) == (None, [])
    assert story.shots[1].pins == [StoryFrame(shot=0, frame=4)]
    for name in ("again.yaml", "again.json"):
        story.write(tmp_path / name)
        assert Story.read(tmp_path / name) == story
        assert str(tmp_path) not in (tmp_path / name).read_text()


BOMB = "a: &a [x, x, x]\n" + "".join(f"b{i}: &b{i} [*{'a' if i == 0 else f'b{i - 1}'}]\n" for i in range(9))

BROKEN = {
    "empty": ("", None, "empty"),
    "only a comment": ("# soon\n", None, "empty"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0", None, "binary.*YAML or JSON"),
    "not UTF-8": ("setting: x\nshots: [café]\n".encode("latin-1"), 2, "0xe9 is not UTF-8.*save"),
    "too large": (b"#" * 300_000, None, "larger than 256 KiB"),
    "control character": ("setting: x\nshots: [a\x07b]", 2, r"'\\x07' is not allowed"),
    "tab": ("setting: x\nshots:\n\t- a\n", 3, "tab; use spaces"),
    "unclosed quote": ('setting: "x\nshots: [a]\n', 1, "quote is never closed"),
    "unclosed list": ("setting: x\nshots: [a\n", 2, "bracket is never closed"),
    "colon in text": ("setting: x\nshots:\n  - prompt: He says: no\n", 3, "in quotes"),
    "alias": ("setting: A cat\nshots:\n - *who\n", 3, "alias.*write the text out"),
    "anchor": ("setting: A cat\nshots:\n - &fox runs\n", 3, "anchor.*in quotes"),
    "alias bomb": (BOMB, 1, "anchor"),
    "bottomless": ("setting: x\nshots: " + "[" * 5000, 2, "nested more than"),
    "python object": ("setting: !!python/object/apply:os.getcwd []\nshots: [a]", 1, "the tag .* remove it"),
    "python name": ("setting: !!python/name:os.getcwd x\nshots: [a]", 1, "the tag .* is not read here"),
    "a tag on a number": ("setting: x\nseed: !!int '3'\nshots: [a]", 2, "the tag '!!int' is not read"),
    "bytes": ("setting: x\nshots:\n - !!binary aGk=", 3, "the tag '!!binary' is not read here"),
    "a tag of one's own": ("setting: x\nshots: !cat [a]", 2, "the tag '!cat' is not read here"),
    "a tag on a key": ("!!str setting: x\nshots: [a]", 1, "the tag '!!str' is not read here"),
    "two documents": ("setting: x\nshots: [a]\n---\nsetting: y\n", 3, "second document"),
    "a list": ("- a\n- b\n", 1, "mapping with 'setting' and 'shots', not a list"),
    "a text": ("once upon a time", 1, "not 'once upon a time'"),
    "no setting": ("shots: [a]", 1, "setting is missing"),
    "setting left open": ("setting:\nshots: [a]", 1, "setting is nothing.*text"),
    "no shots key": ("setting: x", 1, "shots is missing"),
    "no shots": ("setting: x\nshots: []", 2, "shots is empty; add at least one shot, such as - The fox"),
    "shots as a text": ("setting: x\nshots: a", 2, "should be a list.*dash"),
    "empty prompt": ("setting: x\nshots:\n - a\n - prompt: '  '", 4, "prompt of shot 2 is empty"),
    "empty shot": ("setting: x\nshots:\n - ''", 3, "prompt of shot 1 is empty"),
    "no prompt": ("setting: x\nshots:\n - seconds: 2", 3, "prompt of shot 1 is missing"),
    "nothing for prompt": (
        "setting: x\nshots:\n - prompt: ~",
        3,
        'is ~, which stands for nothing.*quotes: "~"',
    ),
    "minutes for seconds": (
        "setting: x\nshots: [{prompt: a, seconds: 1:30}]",
        2,
        "'1:30', but should be a number; in seconds that is seconds: 90",
    ),
    "both lengths": (
        "setting: x\nshots:\n - {prompt: a, seconds: 1, chunks: 1}",
        3,
        "both seconds and chunks",
    ),
    "negative seconds": (
        "setting: x\nshots:\n - prompt: a\n   seconds: -1",
        4,
        "-1, but should be greater than 0",
    ),
    "NaN seconds": ("setting: x\nshots:\n - prompt: a\n   seconds: .nan", 4, "nan, but should be a finite"),
    "endless seconds": ("setting: x\nshots: [{prompt: a, seconds: .inf}]", 2, "inf, but should be"),
    "huge seconds": (
        "setting: x\nshots: [{prompt: a, seconds: 1e9}]",
        2,
        "is 1e9, but should be less",
    ),
    "seconds as text": ("setting: x\nshots: [{prompt: a, seconds: two}]", 2, "example seconds: 2.5"),
    "a decimal comma": (
        "setting: x\nshots:\n- {prompt: a, seconds: '1,5'}",
        3,
        "with a point that is seconds: 1.5",
    ),
    "a seed to base sixteen": ("setting: x\nseed: 0x1F\nshots: [a]", 2, "to base ten that is seed: 31"),
    "half a chunk": ("setting: x\nshots: [{prompt: a, chunks: 1.5}]", 2, "1.5, but should be a whole number"),
    "no chunk": ("setting: x\nshots: [{prompt: a, chunks: 0}]", 2, "0, but should be greater"),
    "true chunks": ("setting: x\nshots: [{prompt: a, chunks: true}]", 2, "true, but should be a whole"),
    "seed as text": ("setting: x\nseed: lucky\nshots: [a]", 2, "'lucky', but should be a whole number"),
    "negative seed": ("setting: x\nseed: -3\nshots: [a]", 2, "greater than or equal to 0"),
    "seed beyond browsers": (f"setting: x\nseed: {2**53}\nshots: [a]", 2, f"should be less than {2**53}"),
    "huge seed": (f"setting: x\nseed: {2**63}\nshots: [a]", 2, "should be less than"),
    "endless seed": (
        f"setting: x\nseed: {'9' * 5000}\nshots: [a]",
        2,
        "99\\.\\.\\., but should be less than",
    ),
    "misspelt key": ("setting: x\nshots:\n - promt: a", 3, "'promt' is unknown; did you mean 'prompt'"),
    "unknown key": (
        "setting: x\nmusic: loud\nshots: [a]",
        2,
        "'music' is unknown; known here: title, setting",
    ),
    "key twice": ("setting: x\nshots:\n - prompt: a\n   prompt: b", 4, r"second time \(first in line 3\)"),
    "a list as key": ("setting: x\n? [a, b]\n: c\nshots: [a]", 2, "single word"),
    "merge key": ("setting: x\nshots:\n - <<: {prompt: a}", 3, "'<<' is unknown"),
    "gap in numbers": ("global_caption: x\nshot1: a\nshot3: b", 3, "shot3 stands where shot2"),
    "numbers from 0": ("global_caption: x\nshot0: a\nshot1: b", 2, "shot0 stands where shot1"),
    "no global caption": ("shot1: a", 1, "global_caption is missing"),
    "misspelt caption": ("globl_caption: x\nshot1: a", 1, "did you mean 'global_caption'"),
    "caption without shots": ("global_caption: x", 1, "shots is empty; add at least one"),
    "misspelt setting": ("seting: x\nshots: [a]", 1, "did you mean 'setting'"),
    "a number for a picture": (
        "setting: x\nreferences: [5]\nshots: [a]",
        2,
        "the path of a picture, for example",
    ),
    "nothing for a picture": (
        "setting: x\nreferences: ['']\nshots: [a]",
        2,
        "empty; give the path of a picture",
    ),
    "a text for pictures": (
        "setting: x\nreferences: a.png\nshots: [a]",
        2,
        r"a list.*for example \[fox.png\]",
    ),
    "a number for a pin": (
        "setting: x\nshots:\n - a\n - prompt: b\n   pins: [5]",
        5,
        "pin 1 of shot 2 is 5, but should be a mapping, for example {shot: 0, frame: 12}",
    ),
    "half a character": ('setting: x\nshots:\n - "\\ud800"', 3, r"\\ud800 is half of a character"),
    "half a character in a key": (
        '{"setting": "x", "shots": ["a"],\n"\\udc00": 3}',
        2,
        "half of a character",
    ),
    "a path in double quotes": ('setting: x\nshots:\n - "C:\\fox"', 3, r"\\f in double quotes.*write \\\\"),
    "an unknown escape": ('setting: x\nshots:\n - "a\\q"', 3, r"write \\\\, or use single quotes"),
    "no blank behind a dash": ("setting: x\nshots:\n  -fox\n  -owl", 2, "a blank behind each dash: - fox"),
    "no blank behind a colon": ("setting:x\nshots: [a]", 1, "missing behind the colon: setting: x"),
    "blanks that fit nothing": (
        "setting: x\nshots:\n - prompt: a\n  seed: 3",
        4,
        "the line begins with 2 blanks",
    ),
    "a comment in a long prompt": (
        "setting: x\nshots:\n - The fox\n   runs # fast\n   and sleeps",
        4,
        "before '# fast'; put the text in quotes: \"The fox runs # fast and sleeps\"",
    ),
    "empty numbered shot": ("global_caption: x\nshot1: a\nshot2: ''", 3, "shot 2 is empty"),
    "a LoRA as a text": ("setting: x\nlora: style\nshots: [a]", 2, "lora is 'style', but should be a list"),
    "a LoRA with a blank": (
        "setting: x\nshots:\n - {prompt: a, lora: [style: 0.5]}",
        3,
        "a LoRA of shot 1 is a mapping, but should be NAME or NAME:SCALE",
    ),
    "a LoRA's scale": (
        "setting: x\nshots:\n - prompt: a\n   lora:\n   - style:0.5\n   - style:much",
        6,
        "a LoRA of shot 1 is 'style:much', but should be NAME or NAME:SCALE, for example style:0.8",
    ),
    "an endless scale": ("setting: x\nlora: ['style:inf']\nshots: [a]", 2, "a LoRA is 'style:inf'"),
    "no LoRA's name": ("setting: x\nlora: [':1']\nshots: [a]", 2, "a LoRA is ':1'"),
    "very many LoRAs": (f"setting: x\nlora: [{'a, ' * 17}]\nshots: [a]", 2, "names more than 16 LoRAs"),
    "colon in a shot": ("setting: x\nshots:\n - Close up: a fox", 3, 'in quotes: "Close up: a fox"'),
    "colon at its end": ("setting: x\nshots:\n - Then this:", 3, 'in quotes: "Then this:"'),
    "colon in a shot with a length": (
        "setting: x\nshots:\n - Close up: a fox\n   seconds: 2",
        3,
        'in quotes: "Close up: a fox"',
    ),
    "colon in a numbered shot": ("global_caption: x\nshot1: Close up: a fox", 2, "in quotes"),
    "UTF-32": ("setting: x".encode("utf-32"), None, "UTF-32; save it with the encoding UTF-8"),
    "half of UTF-16": ("setting: x".encode("utf-16")[:-1], None, "damaged UTF-16"),
    "UTF-16 without a mark": ("setting: x".encode("utf-16-le"), None, "UTF-16 without its mark"),
    "a comment in a bracket": (
        "setting: x\nshots: [{prompt: Wide #2, chunks: 1}]",
        2,
        "text with # in quotes",
    ),
    "redirect at the first chunk": (
        "setting: x\nshots: [{prompt: a, redirects: [{chunk: 0, prompt: b}]}]",
        2,
        "the chunk of redirect 1 of shot 1 is 0, but should be greater",
    ),
    "redirects out of order": (
        "setting: x\nshots:\n - {prompt: a, redirects: [{chunk: 2, prompt: b}, {chunk: 1, prompt: c}]}",
        3,
        "shot 1 has redirects out of order",
    ),
    "redirect beyond the end": (
        "setting: x\nshots:\n - {prompt: a, chunks: 2, redirects: [{chunk: 2, prompt: b}]}",
        3,
        "has 2 chunks, numbered from 0, and is redirected at chunk 2; make it longer",
    ),
    "misspelt pin": (
        "setting: x\nshots:\n - a\n - {prompt: b, pins: [{shoot: 0}]}",
        4,
        "did you mean 'shot'",
    ),
    "pin of a later shot": (
        "setting: x\nshots:\n - a\n - {prompt: b, pins: [{shot: 1, frame: 0}]}",
        4,
        "pin 1 of shot 2: no earlier shot has number 1, take 0; shots and takes count from 0",
    ),
    "pin of a take that is not there": (
        "setting: x\nshots:\n - a\n - {prompt: b, pins: [{shot: 0, frame: 0, take: 3}]}",
        4,
        "no earlier shot has number 0, take 3",
    ),
    "number gap": (
        "setting: x\nshots:\n - a\n - {prompt: b, number: 2}",
        4,
        "number 2 stands where 1 is exp",
    ),
    "number twice": (
        "setting: x\nshots:\n - a\n - {prompt: b, number: 0}",
        4,
        "number 0 stands where 1 is exp",
    ),
    "outtake without number": ("setting: x\nshots: [a]\nouttakes:\n - b", 4, "needs the number of its shot"),
    "outtake that is in the film": (
        "setting: x\nshots: [a]\nouttakes:\n - {prompt: b, number: 0}",
        4,
        "shot 0 has take 0 already",
    ),
    "no width": ("setting: x\nwidth: 0\nshots: [a]", 2, "0, but should be greater"),
    "list and numbers": ("global_caption: x\nshots: [a]\nshot1: a", 2, "do not go together"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_explained_at_its_line(tmp_path, case):
    content, line, words = BROKEN[case]
    path = saved(tmp_path, content)
    with pytest.raises(StoryError) as caught:
        Story.read(path)
    place = f"{path}:{line}: " if line else f"{path}: "
    assert re.search(re.escape(place) + ".*" + words, str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 1000


def test_every_mistake_comes_in_one_message_in_order(tmp_path):
    text = "setting: x\nsed: 4\nshots:\n  - promt: a\n    seconds: -1\n  - prompt: b\n    prompt: c\n"
    with pytest.raises(StoryError) as caught:
        Story.read(saved(tmp_path, text))
    first, *others = str(caught.value).splitlines()
    assert first.endswith("has 4 mistakes:")
    assert [int(re.search(r"yaml:(\d+):", other)[1]) for other in others] == [2, 4, 5, 7]


LORAS = """\
setting: x
lora: [style, grain:0.5]
shots:
  - a
  - prompt: b
    lora: []
  - prompt: c
    lora:
      - stile:-0.5
      - style
      - style:2
"""


def test_loras_are_read_and_checked_against_what_is_loaded(tmp_path):
    path = saved(tmp_path, LORAS)
    story = Story.read(path)
    wanted = [["style", "grain:0.5"], [], ["stile:-0.5", "style", "style:2"]]
    assert [story.lora_of(shot) for shot in story.shots] == wanted
    assert [parse_lora_choice(choice) for choice in wanted[2]] == [
        ("stile", -0.5),
        ("style", 1),
        ("style", 2),
    ]
    with pytest.raises(StoryError) as caught:
        Story.read(path, ["style", "grain"])
    first, *others = str(caught.value).splitlines()
    assert first.endswith("has 2 mistakes:")
    assert re.search(r"yaml:9: shot 3: the LoRA 'stile' is not loaded; did you mean 'style'\?", others[0])
    assert re.search(r"yaml:11: shot 3: the LoRA 'style' is named twice", others[1])
    with pytest.raises(
        StoryError,
        match="the story: the LoRA 'style' is not loaded, nor is any other; start with --lora style",
    ):
        Story.read(path, [])


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    saved(tmp_path, GOOD, "first_story.yaml")
    with pytest.raises(StoryError, match=r"no such file; did you mean .*first_story\.yaml"):
        Story.read(tmp_path / "first-story.yaml")
    with pytest.raises(StoryError, match="no such file; check the path"):
        Story.read(tmp_path / "nowhere" / "x.yaml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "fox.md",
            "# The fox\n\nIt runs.",
            "this is a script, which the studio reads; here a story is YAML or JSON",
        ),
        ("fox.txt", "The fox: it runs: away", "this is a script, which the studio reads"),
        ("fox.fountain", "INT. FOREST\n\n@fox runs", "this is a script, which the studio reads"),
        (
            "fox.csv",
            "shot,prompt\n1,fox",
            "this is a table; here a story is YAML or JSON with 'setting' and 'shots'",
        ),
        ("fox.txt", "setting: x\nshots:\n - @fox", "fox.txt:3: text that begins with @ must stand in quotes"),
        (
            "fox.txt",
            "seting: x\nshots: [a]",
            "fox.txt:1: the key 'seting' is unknown; did you mean 'setting'",
        ),
    ],
)
def test_a_script_or_table_is_called_that(tmp_path, name, text, words):
    with pytest.raises(StoryError, match=re.escape(words)):
        Story.read(saved(tmp_path, text, name))


def test_a_story_may_have_any_name(tmp_path):
    assert read_quietly(tmp_path, "setting: x\nshots: [a]", "fox.txt").setting == "x"


def test_a_folder_is_not_a_story(tmp_path):
    with pytest.raises(StoryError, match="name a file in it"):
        Story.read(tmp_path)


def test_stories_made_in_code_are_checked_too():
    with pytest.raises(ValidationError, match="both seconds and chunks"):
        Shot(prompt="a", seconds=1, chunks=1)
    with pytest.raises(ValidationError, match="at least 1"):
        Story(setting="x", shots=[])


UNQUOTED = """\
"Hello," says the fox.
'Hello,' says the fox.
"Hello", "bye" and more
'It's a fox'
"The "fox" runs"
[close up] the fox
[close up]
[fox, owl]
{fox}
{fox: owl}
{fox} runs
@fox runs
%fox runs
`fox` runs
*fox* runs
*fox runs
&fox runs
!fox
!fox runs
> the fox
>-2 the fox
| fox
? the fox
- the fox
- ? the fox
, fox
] fox
} fox
# fox
Close up: the fox
Close up: the fox: again
Then this:
""".splitlines()
"""Prompts that YAML takes for something else."""
PARSER_WORDS = r"expected|token|scalar|block (?:end|mapping)|stream"
FORMS = {
    "a shot": "setting: x\nshots:\n  - a\n  - {}\n",
    "a prompt": "setting: x\nshots:\n  - a\n  - prompt: {}\n    seconds: 2\n",
    "a setting": "shots: [a]\ntitle: b\nseed: 1\nsetting: {}\n",
    "a numbered shot": "global_caption: x\nshot1: a\nshot2: b\nshot3: {}\n",
}
"""Each with a text in line 4."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", UNQUOTED)
def test_text_that_needs_quotes_is_shown_in_them(tmp_path, text, form):
    """What the message shows can be put in the text's place."""
    with pytest.raises(StoryError) as caught:
        Story.read(saved(tmp_path, FORMS[form].format(text)))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/story.yaml:4: ")
    assert not re.search(PARSER_WORDS, said)
    shown = re.search(r"quotes: (.*)\.$", said)
    assert shown, said
    story = Story.read(saved(tmp_path, FORMS[form].format(shown[1])))
    read = story.setting if form == "a setting" else story.shots[-1].prompt
    assert text in (read, f'"{read}"', f"'{read}'")


YAML_SIGNS = st.sampled_from([*"\"'[]{}@%`*&!>|?-,:#\\~=<", ": ", " #", "- ", "fox", "7", "runs", "\n      "])


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(YAML_SIGNS, min_size=1, max_size=7),
    form=st.sampled_from(sorted(FORMS)),
    gap=st.sampled_from(["", " "]),
)
def test_any_text_without_quotes_is_read_or_refused_in_plain_words(tmp_path_factory, parts, form, gap):
    path = tmp_path_factory.mktemp("story") / "story.yaml"
    path.write_text(FORMS[form].format(gap.join(parts)))
    try:
        Story.read_with_notes(path)
    except StoryError as error:
        said = str(error).replace(str(path), "story.yaml")
        assert not re.search(PARSER_WORDS, said), said
        assert re.match(r"story\.yaml(:\d+: | has \d mistakes:)", said), said


@pytest.mark.parametrize(
    "text", ["007", "1e3", "3.50", "1_000", "true", "yes", "2026-11-27", ".inf", "9" * 30]
)
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_number_where_words_belong_is_the_text_as_it_is_written(tmp_path, text, suffix):
    content = (
        f'{{"title": {text}, "setting": {text}, "lora": [{text}], "shots": [{text}, {{"prompt": {text}}}]}}'
    )
    story = read_quietly(tmp_path, content, f"story.{suffix}")
    assert [story.title, story.setting, *story.lora, *(shot.prompt for shot in story.shots)] == [text] * 5
    story = read_quietly(tmp_path, f"global_caption: {text}\nshot1: {text}\n")
    assert (story.setting, story.shots[0].prompt) == (text, text)


@pytest.mark.parametrize("text", ["2", "'2'", "2s", "2 s", "'2.0 sec'", "2 seconds", "2.0"])
def test_seconds_may_have_quotes_and_their_unit(tmp_path, text):
    story = read_quietly(tmp_path, f"setting: x\nshots: [{{prompt: a, seconds: {text}}}]")
    assert story.shots[0].seconds == 2


@pytest.mark.parametrize("text", ["7", "'7'", '"07"', "7.0", "+7", "' 7 '"])
def test_a_whole_number_may_have_quotes_or_a_point(tmp_path, text):
    story = read_quietly(
        tmp_path, f"setting: x\nseed: {text}\nshots: [{{prompt: a, chunks: {text}, take: {text}}}]"
    )
    assert (story.seed, story.shots[0].chunks, story.shots[0].take) == (7, 7, 7)


@pytest.mark.parametrize("key", ["seed", "height"])
@pytest.mark.parametrize(
    "text", ["1:30", "1,5", "0x1F", "2s", "lucky", "-1", "1.5", "9" * 30, "9" * 400, "true", "[1]"]
)
def test_a_number_that_cannot_be_read_is_one_mistake_and_shows_how_to_write_it(tmp_path, key, text):
    with pytest.raises(StoryError) as caught:
        Story.read(saved(tmp_path, f"setting: x\n{key}: {text}\nshots: [a]"))
    assert re.fullmatch(rf".*story\.yaml:2: {key} is .*{key}: \d+\.", str(caught.value))


JSON_MISTAKES = {
    "comment": ('{"setting": "x", // who\n"shots": ["a"]}', 1, r"no comments \(//\)"),
    "long comment": ('{"setting": "x",\n/* who */ "shots": ["a"]}', 2, r"no comments \(/\*\)"),
    "quote inside": ('{"setting": "the "fox" runs",\n"shots": ["a"]}', 1, "a quote inside"),
    "comma": ('{"setting": "x"\n"shots": ["a"]}', 2, 'a comma is missing before \'"shots"'),
    "end": ('{"setting": "x",\n"shots": ["a"', 2, "ends in the middle"),
    "escape": ('{"setting": "\\q",\n"shots": ["a"]}', 1, r"write \\\\"),
    "second story": ('{"setting": "x"}\n{"shots": ["a"]}', 2, "remove what stands behind its last bracket"),
    "colon": ('{"setting" "x"}', 1, "a colon is missing"),
    "half a character": ('{"setting": "x",\n"shots": ["a \\ud800 b"]}', 2, r"\\ud800 is half"),
}


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@pytest.mark.parametrize("case", JSON_MISTAKES)
def test_json_is_explained_in_its_own_words(tmp_path, case, suffix):
    content, line, words = JSON_MISTAKES[case]
    with pytest.raises(StoryError) as caught:
        Story.read(saved(tmp_path, content, f"story.{suffix}"))
    assert re.search(rf"story\.{suffix}:{line}: .*{words}", str(caught.value)), str(caught.value)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("called", ["NFC", "NFD"])
def test_accents_of_files_are_the_same_however_they_are_written(tmp_path, on_disk, called):
    there = tmp_path / normalize(on_disk, "Bär/é.png")
    there.parent.mkdir()
    there.write_bytes(b"")
    names = [normalize(called, name) for name in ("Bär/é.png", "ö.png", "b.png")]
    (tmp_path / "fox.yaml").write_text(f"setting: a fox\nreferences: [{', '.join(names)}]\nshots: [runs]\n")
    story = Story.read(tmp_path / "fox.yaml")
    found = [str(there), *(str(tmp_path / name) for name in names[1:])]
    assert [reference.picture for reference in story.references] == found


def test_sounds_are_files_beside_the_story(tmp_path):
    (tmp_path / "walk.yaml").write_text(
        "setting: A cat.\nsounds: [rain.wav, {sound: music.mp3, offset_seconds: -2, gain_db: -6}]\n"
        "shots: [It runs.]"
    )
    story = Story.read(tmp_path / "walk.yaml")
    assert [sound.sound for sound in story.sounds] == [
        str(tmp_path / name) for name in ("rain.wav", "music.mp3")
    ]
    assert (story.sounds[1].offset_seconds, story.sounds[1].gain_db) == (-2, -6)
    story.write(tmp_path / "again.json")
    assert Story.read(tmp_path / "again.json") == story
    assert '"sound": "rain.wav"' in (tmp_path / "again.json").read_text()
