"""What stages feed their networks."""

import shutil
import signal
from dataclasses import fields, replace

import pytest
import torch

from shotstream.data.next_shot import BatchChoice, NextShot
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.folders import ModelError
from shotstream.training.causal_init import student_entries
from shotstream.training.judge import shift
from shotstream.training.learner import Learner
from shotstream.training.loop import TrainingError, train
from shotstream.training.optimiser import build_optimisers, lr_factor
from shotstream.training.run import RunFolder
from shotstream.training.settings import Optimiser
from shotstream.training.stage import Role, step_generator
from shotstream.training.workspace import Workspace
from shotstream.world.judge import Judge
from tests.training.conftest import tiny_recipe

pytestmark = pytest.mark.system


def test_the_paper_saves_states_0_13_25_37_of_50():
    assert student_entries(FlowSchedule(), 50) == (0, 13, 25, 37)


def still(data, story, shot, position):
    return data.stills.take(torch.tensor([story]), *torch.tensor([[[shot]], [[position]]]))[0, 0]


def clips(data, *shots):
    stories, own = (torch.tensor(part) for part in zip(*shots, strict=True))
    places = torch.arange(data.latent_frames).expand(len(own), -1)
    return data.clips.take(stories, own[:, None].expand_as(places), places).float()


def caption_ids(data):
    return data.captions.ids[:-1].unflatten(0, (4, 3))  # the last is the empty caption


def test_a_shot_is_made_from_stills_of_earlier_shots(data):
    shot = data.make(BatchChoice([1, 3], [2, 2]))
    assert shot.shot_index.tolist() == [[0, 1, 1, 2, 2, 2, 2]] * 2  # of three frames one, two; four its own
    assert shot.caption_index.tolist() == shot.shot_index.tolist()
    assert torch.equal(shot.target, clips(data, (1, 2), (3, 2)))
    first, last = data.positions.index(0), data.positions.index(12)
    assert torch.equal(shot.context[0, 0], still(data, 1, 0, first))
    assert torch.equal(shot.context[1, 2], still(data, 3, 1, last))
    assert torch.equal(shot.ids, caption_ids(data)[[1, 3]])


def test_shots_of_different_numbers_share_a_batch(data):
    both = data.make(BatchChoice([1, 3], [1, 2]))
    alone = data.make(BatchChoice([1], [1]))
    assert torch.equal(both.context[:1], alone.context)
    assert both.shot_index.tolist() == [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 2, 2, 2, 2]]
    assert both.caption_index.tolist() == [[1, 1, 1, 2, 2, 2, 2], [0, 1, 1, 2, 2, 2, 2]]
    assert torch.equal(both.ids[:1, 1:], alone.ids)  # the unused caption comes first
    assert torch.equal(both.mask[0, 0], data.captions.mask[-1])


def test_without_memory_a_shot_has_no_context(data):
    shot = data.make(BatchChoice([0], [2], remembered=False))
    assert shot.context.shape[1] == 0
    assert shot.shot_index.tolist() == [[2, 2, 2, 2]]
    assert torch.equal(shot.ids, caption_ids(data)[[0], 2:3])  # its own caption, for all frames
    assert not shot.caption_index.any()


def test_padded_context_is_zeros_of_shot_0_under_the_shots_own_caption(data, monkeypatch):
    monkeypatch.setattr(data, "pad_context", True)
    for number in (0, 2):  # any shot, as the first one of a story is told
        shot = data.make(BatchChoice([0], [number], remembered=False))
        assert shot.shot_index.tolist() == [[0, 0, 0, 1, 1, 1, 1]]
        assert shot.context.shape[1] == 3
        assert not shot.context.any()
        assert not shot.caption_index.any()
        assert torch.equal(shot.ids, caption_ids(data)[[0], number : number + 1])


@pytest.mark.parametrize("padded", [True, False])
def test_a_shot_whose_context_is_dropped_is_made_as_one_that_remembers_nothing(data, monkeypatch, padded):
    monkeypatch.setattr(data, "pad_context", padded)
    dropped = data.make(BatchChoice([1, 3], [1, 2])).without_context(padded)
    expected = data.make(BatchChoice([1, 3], [1, 2], remembered=False))
    alike = {field.name for field in fields(NextShot)} - (set() if padded else {"shot_index"})
    for name in alike:  # without any context only differences of the index would count
        assert torch.equal(getattr(dropped, name), getattr(expected, name)), name
    assert dropped.shot_index[:, -4:].tolist() == [[1] * 4] * 2


def test_portraits_stand_before_what_is_remembered_under_the_shots_own_caption(data):
    alone = data.make(BatchChoice([2], [0], remembered=False, portraits=1))
    portrait = data.portraits.take(torch.tensor([2]), *torch.tensor([[[0]], [[0]]]))[0, 0]
    assert torch.equal(alone.context[0, 0], portrait)
    assert alone.shot_index.tolist() == [[0, 1, 1, 1, 1]]
    assert alone.caption_index.tolist() == [[0] * 5]
    both = data.make(BatchChoice([2], [2], portraits=1))
    assert torch.equal(both.context[:, 0], alone.context[:, 0])
    assert both.shot_index.tolist() == [[0, 0, 1, 2, 2, 2, 2]]
    assert both.caption_index.tolist() == [[2, 0, 1, 2, 2, 2, 2]]


def test_a_still_is_one_frame_of_a_shot(data):
    shot = data.make(BatchChoice([1], [2], frames=[1], remembered=False))
    assert torch.equal(shot.target[0, 0], still(data, 1, 2, 1))
    assert shot.target.shape[1] == shot.shot_index.shape[1] == 1


def test_encoding_drawn_stills_gives_what_the_session_would_encode(finished, data):
    drawn = finished.drawn("train")
    frame = data.positions[-1]
    pixels = drawn.tensor(2, "1")[frame].movedim(-1, 0).float() / 127.5 - 1
    expected = finished._autoencoder("autoencoder").encode_stills(pixels[None, None])[0, 0]
    encoded = still(data, 2, 1, len(data.positions) - 1)
    torch.testing.assert_close(encoded, expected.detach(), rtol=0, atol=2e-3)


def test_lessons_follow_one_another_with_batches_of_their_own(finished, monkeypatch):
    curriculum = {
        "stills": {"steps": 10, "batch": 4, "mixture": {"target": "still", "remembered": 0}},
        "shots": {"steps": 20, "batch": 2, "mixture": {"remembered": 0.5, "portraits": 0.5}},
    }
    recipe = tiny_recipe(teacher=finished.recipe.teacher.model_dump() | {"curriculum": curriculum})
    stage = Workspace(recipe, finished.folder, finished.device).stage("teacher")
    assert (stage.loop.steps, stage.loop.batch) == (30, 4)
    seen = []
    flow = stage._denoiser.flow
    monkeypatch.setattr(
        stage._denoiser,
        "flow",
        lambda x, t, shot, c: seen.append((len(x), x.shape[1], shot.context_frames)) or flow(x, t, shot, c),
    )
    for step in range(30):
        stage.loss(step, step_generator(0, step))
    assert set(seen[:10]) == {(4, 1, 0)}
    assert {(2, 4, 0), (2, 4, 3)} <= set(seen[10:])
    assert len({context for _, _, context in seen[10:]}) > 2  # portraits alone


def test_causal_states_are_whole_chunks_and_the_last_chunk_learns(finished):
    stage = finished.stage("causal-init")
    entry = stage._draw_entries(64, 5, 4, step_generator(0, 0))
    assert torch.equal(entry[:, 0], entry[:, 1])  # chunks of two latent frames
    assert torch.equal(entry[:, 2], entry[:, 3])
    assert (entry[:, -1] < 4).all()
    assert (entry[:, 0] == 4).any()


def test_published_causal_states_are_clean_in_one_chunk_of_five(finished):
    settings = {"clean_fraction": 0.2, "clean_last": True}
    stage = finished.stage("causal-init")
    stage.settings = stage.settings.model_copy(update=settings)
    entry = stage._draw_entries(20_000, 5, 4, step_generator(0, 0))[:, ::2]
    assert not (entry == 4).all(dim=1).any()  # a chunk of every shot learns
    both = 0.2**2  # where the last chunk would be clean beside the first
    shares = torch.stack([(entry == number).float().mean(dim=0) for number in range(5)])
    expected = torch.tensor([[0.2, 0.2 + both / 4]] * 4 + [[0.2, 0.2 - both]])
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("replacement", ["empty-prompt", "zeros"])
@pytest.mark.parametrize("embedded", [False, True])
def test_captions_that_are_dropped_are_those_of_no_prompt_or_zeros(finished, data, replacement, embedded):
    denoiser = finished.denoiser("teacher")
    shot = data.make(BatchChoice([1, 3], [2, 2]))
    if embedded:
        shot = replace(shot, ids=denoiser.text.embed(shot.ids.flatten(0, 1), shot.mask.flatten(0, 1)))
        shot = replace(shot, ids=shot.ids.unflatten(0, shot.mask.shape[:2]))
    made = denoiser.captions_or_none(shot, torch.tensor([True, False]), replacement)
    if replacement == "zeros":
        expected = denoiser.transformer.encode_captions(torch.zeros(1, 3, 4, 16))
    else:
        expected = denoiser.transformer.encode_captions(denoiser.text.encode([""] * 3)[None])
    told = denoiser.captions(shot.ids, shot.mask)
    for made_layer, expected_layer, told_layer in zip(made.layers, expected.layers, told.layers, strict=True):
        torch.testing.assert_close([part[:1] for part in made_layer], list(expected_layer))
        assert all(torch.equal(one[1], other[1]) for one, other in zip(made_layer, told_layer, strict=True))


@pytest.mark.parametrize("replacement", ["empty-prompt", "zeros"])
@pytest.mark.parametrize("name", ["teacher", "causal-init"])
def test_what_captions_say_does_not_matter_where_they_are_dropped(
    finished, data, monkeypatch, name, replacement
):
    stage = finished.stage(name)

    def loss(drop_text):
        changed = {"drop_text": drop_text, "dropped_text": replacement}
        stage.settings = stage.settings.model_copy(update=changed)
        return float(stage.loss(0, step_generator(0, 0))[0].detach())

    told, dropped = loss(0.0), loss(1.0)
    monkeypatch.setattr(data.captions, "ids", data.captions.ids.flip(1))
    assert loss(0.0) != told
    assert loss(1.0) == dropped


@pytest.mark.parametrize(
    "part", ["captions/export/text_encoder/model.safetensors", "teacher/export/transformer/config.json"]
)
def test_what_an_earlier_stage_made_and_is_damaged_is_told_in_a_sentence(finished, tmp_path, part):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    (folder / part).write_bytes(b"{")
    with pytest.raises(ModelError, match=r"cannot be loaded: .*fetch or export the model again"):
        Workspace(finished.recipe, folder, finished.device).denoiser("teacher")


def test_muon_takes_the_matrices_of_blocks(finished):
    generator = finished.denoiser("teacher")
    parts = {"transformer": generator.transformer, "text_encoder": generator.text.text_encoder}
    module = torch.nn.ModuleDict(parts)
    _, muon = build_optimisers(module, Optimiser(name="muon"))
    matrices = {id(p) for p in muon.param_groups[0]["params"]}
    named = {name for name, p in module.named_parameters() if id(p) in matrices}
    assert "transformer.blocks.0.attn1.to_q.weight" in named
    assert all(name.startswith("transformer.blocks.") for name in named)
    alone = build_optimisers(generator.transformer, Optimiser(name="muon"))[1]
    assert {id(p) for p in alone.param_groups[0]["params"]} == matrices
    with pytest.raises(ValueError, match="here are neither; set"):
        build_optimisers(torch.nn.Linear(2, 2), Optimiser(name="muon"))


def test_averages_are_kept_of_what_learns_where_they_are_wanted():
    module = torch.nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert Learner(Role(module, Optimiser()), 0.9, 10).average.keys() == {"weight"}
    assert not Learner(Role(module, Optimiser(), averaged=False), 0.9, 10).average


def test_settings_win_over_those_of_the_checkpoint():
    module = torch.nn.Linear(2, 2)
    former = Learner(Role(module, Optimiser(lr=1e-3)), 0.9, 10)
    module(torch.ones(1, 2)).sum().backward()
    former.update(0)
    slower = Learner(Role(module, Optimiser(lr=1e-5)), 0.9, 10)
    slower.load_state_dict(former.state_dict())
    assert slower.optimisers[0].param_groups[0]["initial_lr"] == 1e-5
    assert torch.equal(slower.average["weight"], former.average["weight"])
    assert slower.optimisers[0].state_dict()["state"]


def test_ctrl_c_finishes_the_step_and_saves_it(finished, tmp_path):
    stage = finished.stage("teacher")
    whole_loss = stage.loss

    def interrupted(step, *args):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
        return whole_loss(step, *args)

    stage.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        train(stage, RunFolder(tmp_path, stage.settings))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3
    assert not (tmp_path / "export").exists()


def test_learning_rate_warms_up_and_falls():
    settings = Optimiser(warmup_steps=10, decay_fraction=0.5)
    factors = [lr_factor(step, 100, settings) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[20] == 1
    assert factors[75] == pytest.approx(0.5)
    assert min(factors[50:]) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [(float("nan"), "became nan at step 3"), (1e4, r"at step 3, above loop.loss_limit=100")],
)
def test_a_loss_that_explodes_stops_and_keeps_the_checkpoint(finished, tmp_path, spoilt, words):
    stage = finished.stage("teacher")
    whole_loss = stage.loss

    def broken(step, *args):
        loss, figures = whole_loss(step, *args)
        return loss * (spoilt if step == 3 else 1), figures

    stage.loss = broken
    with pytest.raises(TrainingError, match=words + ".*last checkpoint, if there is one yet, is good"):
        train(stage, RunFolder(tmp_path, stage.settings))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_shots_are_moved_and_their_edges_drawn_out():
    frames = torch.arange(12.0).reshape(1, 1, 1, 3, 4).repeat(2, 1, 1, 1, 1)
    moved = shift(frames, torch.tensor([[1, 0], [0, -2]]))
    down, left = moved[:, 0, 0].tolist()
    assert down == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert left == [[2, 3, 3, 3], [6, 7, 7, 7], [10, 11, 11, 11]]


def test_a_judge_goes_on_from_another_with_shots_that_are_drawn_anew(finished, tmp_path):
    start = finished.folder / "judge" / "export"
    settings = finished.recipe.judge.model_copy(update={"fresh": True, "start": start})
    recipe = finished.recipe.model_copy(update={"judge": settings, "earlier": finished.folder})
    stage = Workspace(recipe, tmp_path / "again", finished.device).stage("judge")
    judge = stage.roles["judge"].module
    known = Judge.from_pretrained(start).state_dict()
    assert all(torch.equal(weight, known[name]) for name, weight in judge.state_dict().items())
    loss, _ = stage.loss(0, torch.Generator().manual_seed(0))
    assert loss.isfinite()
    assert not (tmp_path / "again" / "drawn-train").exists(), "nothing is drawn onto the disk"
    settings = settings.model_copy(update={"autoencoded_fraction": 0.5, "remade_fraction": 0.5})
    recipe = recipe.model_copy(update={"judge": settings})
    with pytest.raises(ValueError, match=r"needs a model that remakes shots: give base=mini\."):
        Workspace(recipe, tmp_path / "again", finished.device).stage("judge")
