"""Self-forcing: who learns when, from what, and through which pass."""

import json

import pytest
import torch
from safetensors.torch import load_file

from shotstream.data.batch_slice import WHOLE_BATCH
from shotstream.data.next_shot import BatchChoice
from shotstream.streaming.chunk import to_pictures, to_pixels
from shotstream.training.loop import train
from shotstream.training.run import RunFolder
from shotstream.training.self_forcing import own_history
from shotstream.training.stage import step_generator
from shotstream.training.workspace import Workspace

pytestmark = pytest.mark.law


@pytest.fixture
def stage(finished):
    return finished.stage("intra-shot")


def test_the_critic_goes_first_and_more_often(stage):
    stage.settings = stage.settings.model_copy(update={"critic_updates": 2})
    assert [stage.role(step) for step in range(6)] == ["critic", "critic", "student"] * 2


@pytest.mark.parametrize(("step", "learns"), [(0, "critic"), (1, "student")])
def test_only_the_role_of_the_step_gets_gradients(stage, step, learns):
    stage.loss(step, step_generator(0, step))[0].backward()
    for name, role in stage.roles.items():
        touched = any(p.grad is not None and p.grad.any() for p in role.module.parameters())
        assert touched == (name == learns), name
    assert all(p.grad is None for p in stage._teacher.transformer.parameters())


@pytest.mark.parametrize("name", ["intra-shot", "inter-shot"])
def test_the_context_is_dropped_in_as_many_steps_as_are_set(finished, monkeypatch, name):
    stage = finished.stage(name)
    shot = finished.next_shots("train", stage._student.text).make(BatchChoice([0, 1], [2, 2]))
    monkeypatch.setattr(stage, "_history", lambda *_: shot)
    monkeypatch.setattr(stage, "settings", stage.settings.model_copy(update={"drop_context": 0.1}))
    drawn = [stage._draw_shot(step, step_generator(0, step), WHOLE_BATCH) for step in range(2000)]
    kept = sum(one is shot for one in drawn) / 2000
    assert kept == pytest.approx(0.9, abs=0.02)
    dropped = next(one for one in drawn if one is not shot)
    assert dropped.context_frames == 0  # the tiny model has no zero frames for first shots
    assert torch.equal(dropped.ids, shot.ids[:, -1:])
    stage.loss(1, step_generator(0, 1))[0].backward()


def test_a_critic_with_adapters_learns_nothing_else(finished):
    settings = finished.recipe.inter_shot.model_copy(update={"critic_lora_rank": 2})
    recipe = finished.recipe.model_copy(update={"inter_shot": settings})
    stage = Workspace(recipe, finished.folder, torch.device("cpu")).stage("inter-shot")
    stage.loss(0, step_generator(0, 0))[0].backward()
    touched = {
        role: {n for n, p in stage.roles[role].module.named_parameters() if p.grad is not None}
        for role in stage.roles
    }
    assert touched["critic"]
    assert all("lora" in name for name in touched["critic"])
    assert not touched["student"] | touched["teacher"]


def drawn_again(stage, step):
    """What a step draws, drawn here: shot, rollout, noise, timesteps and their noise levels."""
    generator = step_generator(stage.loop.seed, step)
    shot = stage._history(step, generator)
    steps = 1 + int(torch.randint(4, (), generator=generator))
    rollout = stage._student.roll_out(shot, generator, steps)
    noise = torch.randn(rollout.shape, generator=generator)
    table = stage._student.schedule.timesteps.double()
    entry = torch.randint(len(table), (stage.loop.batch,), generator=generator)
    timestep = table[entry].clamp(20, 980)
    nearest = (table[None] - timestep[:, None]).abs().argmin(dim=1)
    sigma = (table[nearest] / 1000).view(-1, 1, 1, 1, 1)
    return shot, rollout, noise, timestep.float(), sigma


def test_the_student_s_gradient_is_the_paper_s(stage):
    """``(fake - real) / mean |x - real|`` with ``real = cond + 3 (cond - uncond)``, in float64."""
    stage.settings = stage.settings.model_copy(update={"guidance": 4.0})
    student, teacher, critic = stage._student, stage._teacher, stage._critic
    shot, rollout, noise, timestep, sigma = drawn_again(stage, 1)
    x = rollout.detach().double()
    noisy = (1 - sigma) * x + sigma * noise.double()

    def clean(network, ids, mask):
        with torch.no_grad():
            flow = network.flow(noisy.float(), timestep, shot, network.captions(ids, mask))
        return noisy - sigma * flow.double()

    conditional = clean(teacher, shot.ids, shot.mask)
    real = conditional + 3 * (conditional - clean(teacher, *teacher.no_text(shot.ids)))
    fake = clean(critic, shot.ids, shot.mask)
    distance = (x - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True)
    gradient = (fake - real) / distance / x.numel()
    weights = list(student.transformer.parameters())
    expected = torch.autograd.grad(rollout, weights, gradient.float())
    stage.loss(1, step_generator(stage.loop.seed, 1))[0].backward()
    assert max(float(part.abs().max()) for part in expected) > 1e-4
    for weight, part in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, part, rtol=1e-3, atol=1e-6)


def test_the_critic_s_loss_is_flow_matching_on_what_the_student_made(stage):
    with torch.no_grad():
        shot, rollout, noise, timestep, sigma = drawn_again(stage, 0)
        noisy = (1 - sigma) * rollout.double() + sigma * noise.double()
        captions = stage._critic.captions(shot.ids, shot.mask)
        flow = stage._critic.flow(noisy.float(), timestep, shot, captions)
        expected = (flow.double() - (noise.double() - rollout.double())).square().mean()
    loss, _ = stage.loss(0, step_generator(stage.loop.seed, 0))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_rollout_with_gradient_gives_the_shots_that_users_see(finished, data):
    student, shot = finished.student, data.make(BatchChoice([0, 1], [2, 2]))
    with torch.no_grad():
        served = student.roll_out(shot, step_generator(0, 0))
    learnt = student.roll_out(shot, step_generator(0, 0))
    assert learnt.requires_grad
    torch.testing.assert_close(learnt, served, rtol=1e-5, atol=1e-5)


def test_only_the_last_executed_step_of_a_chunk_records_gradients(finished, data):
    student, shot = finished.student, data.make(BatchChoice([0], [1]))
    inputs = []
    forward = student.transformer.forward

    def noting(latents, *args, **kwargs):
        inputs.append((tuple(latents.shape), torch.is_grad_enabled()))
        return forward(latents, *args, **kwargs)

    student.transformer.forward = noting
    student.roll_out(shot, step_generator(0, 0), steps=3)
    chunk, context = (1, 2, *shot.target.shape[2:]), tuple(shot.context.shape)
    steps = [(chunk, False), (chunk, False), (chunk, True)]
    assert inputs == [(context, False), *steps, (chunk, False), *steps]


def test_own_history_is_what_the_student_told_before(finished, data):
    """The stills of a third shot are those that serving would remember of the first two."""
    student, autoencoder = finished.student, finished.autoencoder
    settings = finished.recipe.inter_shot.model_copy(
        update={"critic_updates": 1, "loop": finished.recipe.inter_shot.loop.model_copy(update={"batch": 2})}
    )
    draw, unused = own_history(data, settings, student, autoencoder), torch.Generator()
    step = next(step for step in range(0, 40, 2) if draw(step, unused).ids.shape[1] == 3)
    shot = draw(step, unused)
    assert draw(step + 1, unused) is shot  # the student has not learnt in between
    assert not torch.equal(draw(step + 2, unused).ids, shot.ids)
    again = own_history(data, settings, student, autoencoder)(step + 1, unused)
    assert torch.equal(again.context, shot.context)  # as when it is resumed there

    generator, told = step_generator(settings.loop.seed, -1 - step // 2), []
    torch.randint(3, (), generator=generator)
    stories = torch.randint(4, (2,), generator=generator).tolist()
    stills = torch.zeros(2, 3, len(data.positions), *data.stills.shape)
    for number in range(2):
        earlier = data.make(BatchChoice(stories, [number] * 2, remembered=number > 0), stills)
        with torch.no_grad():
            frames = autoencoder.open_decoder().decode(student.roll_out(earlier, generator))
        told.append(to_pictures(frames.flatten(0, 1)).reshape(2, 13, 32, 48, 3))
        for place, frame in enumerate(data.positions):
            picture = to_pixels(told[-1][:, frame])[:, None]
            stills[:, number, place] = autoencoder.encode_stills(picture)[:, 0].detach()
    true = data.make(BatchChoice(stories, [2, 2]))
    expected = data.make(BatchChoice(stories, [2, 2]), stills)
    torch.testing.assert_close(shot.context, expected.context, rtol=0, atol=1e-4)
    assert not torch.equal(shot.context, true.context)  # nor the true ones
    assert torch.equal(shot.ids, true.ids)


def test_stage_4_can_start_from_another_stage_of_another_run(finished, tmp_path):
    """Only what is made anew is in the new run's folder."""
    settings = finished.recipe.inter_shot.model_copy(update={"start": "causal-init"})
    recipe = finished.recipe.model_copy(update={"earlier": finished.folder, "inter_shot": settings})
    other = Workspace(recipe, tmp_path / "other", torch.device("cpu"))
    exported = other.run("inter-shot")
    assert [path.name for path in other.folder.iterdir()] == ["inter-shot"]
    before, after = (
        load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
        for folder in (finished.folder / "causal-init" / "export", exported)
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("attn" in name or "ffn" in name for name in changed)  # only what adapters sit on
    missing = recipe.model_copy(update={"earlier": tmp_path / "nowhere"})
    with pytest.raises(ValueError, match="no earlier run"):
        Workspace(missing, tmp_path / "none", torch.device("cpu")).run("judge")


def test_only_adapters_learn_and_they_are_merged_on_export(finished, tmp_path):
    stage = finished.stage("inter-shot")
    names = {n for n, p in stage.roles["student"].module.named_parameters() if p.requires_grad}
    assert names
    assert all("lora" in name for name in names)
    stage.export(tmp_path)
    keys = set(load_file(tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"))
    assert keys == set(finished.denoiser("intra-shot").transformer.state_dict())


def test_every_weight_that_a_rollout_uses_gets_a_gradient_in_bfloat16(finished, data):
    """Casts that were kept from a pass without gradient would leave weights without one."""
    student, shot = finished.student, data.make(BatchChoice([0, 1], [2, 2]))
    with torch.autocast("cpu", torch.bfloat16):
        student.roll_out(shot, step_generator(0, 0), steps=2).square().mean().backward()
    without = [name for name, p in student.transformer.named_parameters() if p.grad is None]
    assert not without


def test_an_entry_has_the_figures_of_every_role_that_learnt_since_the_last(finished, tmp_path):
    stage = finished.stage("intra-shot")
    stage.loop = stage.loop.model_copy(update={"log_every": 2})
    train(stage, RunFolder(tmp_path, stage.settings))
    entry = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert entry.keys() >= {"critic_loss", "critic_gradient_norm", "student_loss", "student_deviation"}
