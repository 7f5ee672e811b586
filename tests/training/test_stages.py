"""What stages feed their networks."""

import signal

import pytest
import torch

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.training.causal_init import student_entries
from shotstream.training.judge import shift
from shotstream.training.learner import Learner
from shotstream.training.loop import TrainingError, train
from shotstream.training.optimiser import build_optimisers, lr_factor
from shotstream.training.run import RunFolder
from shotstream.training.settings import Optimiser
from shotstream.training.stage import Role, step_generator

pytestmark = pytest.mark.cpu


def test_the_paper_saves_states_0_13_25_37_of_50():
    assert student_entries(FlowSchedule(), 50) == (0, 13, 25, 37)


def test_a_shot_is_made_from_stills_of_earlier_shots(data):
    shot = data.pick(torch.tensor([1, 3]), 2)
    assert shot.shot_index.tolist() == [0, 1, 1, 2, 2, 2, 2]  # three frames: one, then two; four of its own
    assert shot.caption_index.tolist() == shot.shot_index.tolist()
    assert torch.equal(shot.target, data.clips[[1, 3], 2].float())
    first_of_shot_0 = data.stills[[1, 3], 0, data.positions.index(0)].float()
    last_of_shot_1 = data.stills[[1, 3], 1, data.positions.index(12)].float()
    assert torch.equal(shot.context[:, 0], first_of_shot_0)
    assert torch.equal(shot.context[:, 2], last_of_shot_1)
    assert torch.equal(shot.ids, data.ids[[1, 3], :3])


def test_without_memory_every_shot_looks_like_a_first_one(data):
    shot = data.pick(torch.tensor([0]), 2, remember=False)
    assert shot.shot_index.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert not shot.context.any()
    assert torch.equal(shot.ids, data.ids[[0], 2:3])  # its own caption, for all frames
    assert not shot.caption_index.any()


def test_encoding_drawn_stills_gives_what_the_session_would_encode(finished, data):
    drawn = finished.drawn("train")
    frame = data.positions[-1]
    pixels = drawn.tensor(2, "1")[frame].movedim(-1, 0).float() / 127.5 - 1
    expected = finished._autoencoder("autoencoder").encode_stills(pixels[None, None])[0, 0]
    torch.testing.assert_close(data.stills[2, 1, -1].float(), expected.detach(), rtol=0, atol=2e-3)


def test_the_teacher_learns_captions_before_memory(finished, monkeypatch):
    stage = finished.stage("teacher")
    stage.settings = stage.settings.model_copy(update={"text_to_video_steps": 20, "drop_context": 0.0})
    seen = []
    flow = stage._generator.flow
    monkeypatch.setattr(
        stage._generator,
        "flow",
        lambda x, t, shot, c: seen.append(shot.context.any().item()) or flow(x, t, shot, c),
    )
    for step in range(40):
        stage.loss(step, step_generator(0, step))
    assert not any(seen[:20])
    assert any(seen[20:])


def test_causal_states_are_whole_chunks_and_the_last_chunk_learns(finished):
    stage = finished.stage("causal-init")
    entry = stage._draw_entries(64, 5, 4, step_generator(0, 0))
    assert torch.equal(entry[:, 0], entry[:, 1])  # chunks of two latent frames
    assert torch.equal(entry[:, 2], entry[:, 3])
    assert (entry[:, -1] < 4).all()
    assert (entry[:, 0] == 4).any()


def test_muon_takes_the_matrices_of_blocks(finished):
    generator = finished.generator("teacher")
    parts = {"transformer": generator.transformer, "text_encoder": generator.text.text_encoder}
    module = torch.nn.ModuleDict(parts)
    _, muon = build_optimisers(module, Optimiser(name="muon"))
    matrices = {id(p) for p in muon.param_groups[0]["params"]}
    named = {name for name, p in module.named_parameters() if id(p) in matrices}
    assert "transformer.blocks.0.attn1.to_q.weight" in named
    assert all(name.startswith("transformer.blocks.") for name in named)
    alone = build_optimisers(generator.transformer, Optimiser(name="muon"))[1]
    assert {id(p) for p in alone.param_groups[0]["params"]} == matrices
    with pytest.raises(ValueError, match="here are none; set"):
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
    settings = Optimiser(warmup_steps=10, decay_share=0.5)
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
