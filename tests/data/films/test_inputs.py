"""Every form in which people keep films."""

import json

import pytest

from shotstream.data.films.clip_table import write_clip_table
from shotstream.data.films.film_input import FilmInput, InputError
from shotstream.data.films.inputs import read_inputs

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a.MKV", "deep/c.webm", ".hidden.mp4", "notes.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(path, *values):
    path.write_text("\n".join(json.dumps(value) for value in values) + "\n")
    return path


def test_folders_with_captions_beside_the_films(folder):
    (folder / "b.txt").write_text("A cat on a beach.\n\nIt waves.\nIt sits.\n")
    films = read_inputs([folder], licence="CC0")
    assert [film.files[0].name for film in films] == ["a.MKV", "b.mp4", "c.webm"]
    assert films[1] == FilmInput(
        (folder / "b.mp4",),
        caption="A cat on a beach.",
        shot_captions=("It waves.", "It sits."),
        licence="CC0",
    )
    assert films[0].shot_captions is None


def test_notes_beside_a_film(folder):
    shots = [{"start": 0, "end": 2.5, "caption": "One."}, {"start": 2.5, "end": 4, "caption": "Two."}]
    write(folder / "b.json", {"caption": "Both.", "shots": shots, "licence": "MIT", "source": "http://x"})
    film = read_inputs([folder / "b.mp4"], licence="CC0")[0]
    assert (film.caption, film.spans, film.unit) == ("Both.", ((0, 2.5), (2.5, 4)), "seconds")
    assert (film.shot_captions, film.licence, film.source) == (("One.", "Two."), "MIT", "http://x")


def test_videos_and_prompts(folder):
    (folder / "videos.txt").write_text("b.mp4\na.MKV\n")
    (folder / "prompts.txt").write_text("The b.\nThe a.\n")
    assert [(film.files[0].name, film.caption) for film in read_inputs([folder])] == [
        ("b.mp4", "The b."),
        ("a.MKV", "The a."),
    ]
    (folder / "prompts.txt").write_text("The b.\n")
    with pytest.raises(InputError, match=r"names 2 films and .* has 1 captions"):
        read_inputs([folder / "videos.txt"])


def test_json_lines(folder):
    path = write(
        folder / "films.jsonl",
        {"video": "b.mp4", "shots": [{"start": 1, "end": 2}]},
        {"path": "a.MKV", "caption": "The a.", "license": "CC BY 4.0"},
    )
    first, second = read_inputs([path])
    assert (first.spans, first.shot_captions) == (((1, 2),), None)
    assert (second.caption, second.licence) == ("The a.", "CC BY 4.0")


def test_holocine(folder):
    values = {
        "video_path": "b.mp4",
        "global_caption": "All.",
        "shot_captions": ["One.", "Two.", "Three."],
        "shot_cut_frames": [37, 73],
    }
    film = read_inputs([write(folder / "holocine.json", values)])[0]
    assert film.spans == ((0, 37), (37, 73), (73, float("inf")))
    assert (film.unit, film.caption, film.shot_captions) == ("frames", "All.", ("One.", "Two.", "Three."))
    with pytest.raises(InputError, match="3 shots need 2 cuts, not 1"):
        read_inputs([write(folder / "holocine.json", values | {"shot_cut_frames": [37]})])


def test_stories_with_a_file_for_each_shot(tmp_path):
    for number in (1, 2):
        (tmp_path / f"0{number}.mp4").write_bytes(b"")
    told = {"setting": "A cat.", "shots": [{"prompt": "It waves."}, {"prompt": "It sits."}]}
    write(tmp_path / "attributes.json", told)
    (film,) = read_inputs([tmp_path])
    assert [file.name for file in film.files] == ["01.mp4", "02.mp4"]
    assert (film.caption, film.shot_captions) == ("A cat.", ("It waves.", "It sits."))
    (tmp_path / "02.mp4").unlink()
    with pytest.raises(InputError, match="tells of 2 shots, but 1 videos"):
        read_inputs([tmp_path])


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_a_table_of_clips_goes_out_and_in(folder, suffix):
    pytest.importorskip("pyarrow")
    rows = [
        {"story": 0, "path": "b.mp4", "start": 0.0, "end": 1.5, "caption": "All.", "shot_caption": "One."},
        {"story": 0, "path": "b.mp4", "start": 1.5, "end": 3.0, "caption": "All.", "shot_caption": "Two."},
        {"story": 1, "path": "b.mp4", "start": 9.0, "end": 9.5, "caption": "Else.", "shot_caption": ""},
        {"story": 2, "path": "a.MKV", "start": None, "end": None, "caption": "", "shot_caption": ""},
    ]
    write_clip_table(folder / f"clips{suffix}", rows)
    first, second, third = read_inputs([folder / f"clips{suffix}"])
    assert (first.spans, first.shot_captions) == (((0, 1.5), (1.5, 3)), ("One.", "Two."))
    assert (second.spans, second.caption, second.shot_captions) == (((9, 9.5),), "Else.", None)
    assert (third.files[0].name, third.spans) == ("a.MKV", None)


def test_a_table_keeps_stories_of_which_every_shot_is_a_file(folder):
    pytest.importorskip("pyarrow")
    rows = [
        {"story": 0, "path": "b.mp4", "start": 0.0, "end": 1.5, "caption": "All.", "shot_caption": "One."},
        {"story": 0, "path": "a.MKV", "start": 2.0, "end": 3.0, "caption": "All.", "shot_caption": "Two."},
    ]
    write_clip_table(folder / "clips.parquet", rows)
    (film,) = read_inputs([folder / "clips.parquet"])
    assert [file.name for file in film.files] == ["b.mp4", "a.MKV"]
    assert (film.spans, film.shot_captions) == (((0, 1.5), (2, 3)), ("One.", "Two."))
    for wrong, message in (
        ([*rows, rows[0]], "one of which has several shots"),
        ([rows[0], rows[1] | {"start": None}], "some shots have start and end, others not"),
    ):
        write_clip_table(folder / "clips.parquet", wrong)
        with pytest.raises(InputError, match=message):
            read_inputs([folder / "clips.parquet"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("films.jsonl", "{", "line 1: this is no JSON"),
        ("films.jsonl", "[1]\n", "line 1: a film is an object"),
        ("films.jsonl", '{"caption": "x"}', "line 1: no film is named"),
        ("films.jsonl", '\n{"video": "z.mp4"}', "line 2: there is no file z.mp4"),
        ("films.jsonl", '{"video": "b.mp4", "shots": [{"start": 2}]}', "needs start and end"),
        ("films.jsonl", '{"video": "b.mp4", "shots": [{"start": 2, "end": 1}]}', "must end after it begins"),
        ("films.jsonl", '{"video": "b.mp4", "shots": 3}', "needs start and end"),
        ("films.csv", "video_path\nb.mp4\n", "not in the authors' layout"),
        ("films.txt", "z.mp4\n", "line 1: there is no file z.mp4"),
        ("films.xyz", "", "neither a video nor a list"),
        ("films.parquet", "no table", "cannot be read as a table"),
    ],
)
def test_mistakes_are_named_with_their_place(folder, name, text, message):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_inputs([folder / name])


def test_what_is_not_there_is_named(folder):
    with pytest.raises(InputError, match="no file or folder"):
        read_inputs([folder / "nowhere"])
