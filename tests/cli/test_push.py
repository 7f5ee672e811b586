"""A model's folder goes to the hub: what is sent, and the card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.loading.publish import plan_upload, send

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("push") / "model"
    pipeline.save_pretrained(place)
    return place


@pytest.fixture
def offline(monkeypatch) -> None:
    def refuse(*args, **settings):
        raise AssertionError("the hub was asked")

    for call in ("create_repo", "create_commit"):
        monkeypatch.setattr(HfApi, call, refuse)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_a_dry_run_shows_files_and_card_and_sends_nothing(folder, offline) -> None:
    done = run("push", folder, "me/tiny", "--licence", "apache-2.0", "--dry-run")
    assert done.exit_code == 0, done.output
    for said in (
        "transformer/diffusion_pytorch_model.safetensors",
        "pipeline.py",
        "# tiny",
        "Nothing was sent",
    ):
        assert said in done.output


def test_a_card_says_what_the_model_is(folder) -> None:
    record = [{"part": "student", "repository": "them/wan", "revision": "abc", "licence": "Apache-2.0"}]
    (folder / "sources.json").write_text(json.dumps(record))
    card = ModelCard(plan_upload(folder, "me/tiny").files["README.md"])
    (folder / "sources.json").unlink()
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == ["them/wan"]
    assert card.data.pipeline_tag == "text-to-video"
    assert card.data.library_name == "diffusers"
    for said in (
        "16x32 pixels as trained, 8 frames per second",
        "| steps | 2 for each chunk",
        "| transformer | `CausalWanTransformer3DModel` |",
        'from_pretrained("me/tiny")',
        "[them/wan](https://huggingface.co/them/wan)",
        "## Limits",
    ):
        assert said in card.text
    assert "{" not in card.text.replace("{setting} shot {index}: {prompt}", "")


def test_a_card_of_one_s_own_is_kept() -> None:
    upload = plan_upload("mini", "me/mini")
    card = ModelCard(upload.files["README.md"])
    assert card.text.strip().startswith("# ShotStream mini")
    assert "shotstream" in card.data.tags
    assert upload.left_out == []


def test_only_the_model_is_sent_and_it_points_at_its_new_place(folder, tmp_path, monkeypatch) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    (copy / ".env").write_text("TOKEN=1")
    (copy / "transformer" / "notes.py").write_text("")
    (copy / "pipeline.py").write_text("an old one")
    upload = plan_upload(copy, "me/tiny", "mit")
    assert upload.left_out == [".env", "transformer/notes.py"]
    index = json.loads(upload.files["modular_model_index.json"])
    assert index["transformer"][2]["pretrained_model_name_or_path"] == "me/tiny"
    sent = {}

    class Commit:
        commit_url = "https://hub/commit"

    def commit(self, repository, operations, **settings):
        sent.update({operation.path_in_repo: operation.path_or_fileobj for operation in operations})
        return Commit

    monkeypatch.setattr(
        HfApi, "create_repo", lambda self, name, **settings: sent.update(repo=name, **settings)
    )
    monkeypatch.setattr(HfApi, "create_commit", commit)
    assert send(upload, private=True) == "https://hub/commit"
    assert sent["repo"] == "me/tiny"
    assert sent["private"] is True
    assert sent["pipeline.py"].startswith(b'"""Opens this model')
    assert Path(sent["vae/config.json"]).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "FOLDER", "me/tiny"), "under which licence this model is"),
        (("push", "FOLDER", "tiny"), "give owner/name"),
        (("push", "FOLDER", "me/--"), "cannot be called"),
        (("push", "nowhere", "me/tiny"), "there is no model 'nowhere' here"),
    ],
)
def test_what_cannot_be_sent_is_said(folder, offline, words, said) -> None:
    done = run(*(folder if word == "FOLDER" else word for word in words), "--dry-run")
    assert done.exit_code == 1
    assert said in done.output
