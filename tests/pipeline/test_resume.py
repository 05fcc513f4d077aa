"""Stopped, killed, resumed: the same masks and weights, bit for bit, as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.run import prune
from hyperprune_lab.pipeline.session import resume_record, run_to_record
from hyperprune_lab.record.store import Store
from hyperprune_lab.record.verify import verify

from .tiny import checkpoints, learn_fast, masks, run_all, same_arrays, shrink, weights

pytestmark = pytest.mark.usefixtures("learning")


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted."""

    config: RunConfig
    path: Path
    events: list[ev.Event]

    @property
    def digest(self) -> str:
        return verify(self.path).sha256


@pytest.fixture(scope="module")
def whole(shop):
    """HyperPrune with everything on: both stages of the network, both ladders, highest rung."""
    config = shop.config(method="hyperprune", compensation="model", samples=8)
    path = shop.folder / "whole"
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        learn_fast(patch)
        return Whole(config, path, list(run_to_record(config, path)))


def assert_as_if_nothing_happened(path, whole):
    """The record in ``path`` ended as the whole run did."""
    assert verify(path).sound
    assert verify(path).sha256 == whole.digest
    store, reference = Store(path), Store(whole.path)
    assert store.state == "finished"
    for block in range(3):
        assert same_arrays(store.weights(block), reference.weights(block))
    told = {name: value for name, value in store.result.items() if name not in ("seconds", "run")}
    expected = {name: value for name, value in reference.result.items() if name in told}
    del told["peak_memory_bytes"], expected["peak_memory_bytes"]
    assert told == expected
    assert not list(path.glob("*/*.tmp"))


def test_the_whole_run_is_worth_comparing_with(whole):
    stages = {event.stage for event in whole.events if isinstance(event, ev.CheckpointReached)}
    assert stages == {"layers", "model", "compensation of the prior", "compensation"}
    assert not same_arrays(masks(whole.events, "layers"), masks(whole.events, "model"))
    priors = Store(whole.path).result["changed_from_prior"]
    assert 0 < priors < 1
    assert whole.events[-1].result["run"] == str(whole.path)


@pytest.mark.slow
@pytest.mark.parametrize("every", [3])
def test_a_run_stopped_after_every_few_checkpoints_ends_the_same(whole, tmp_path, every):
    path = tmp_path / "run"
    stops = 0
    stream = run_to_record(whole.config, path, control := RunControl())
    while True:
        seen = 0
        for event in stream:
            seen += isinstance(event, ev.CheckpointReached)
            if seen == every:
                control.stop()
        if isinstance(event, ev.RunFinished):
            break
        assert isinstance(event, ev.RunStopped)
        assert Store(path).state == "stopped"
        stops += 1
        stream = resume_record(path, control := RunControl())
    assert stops == sum(isinstance(event, ev.CheckpointReached) for event in whole.events) // every
    assert_as_if_nothing_happened(path, whole)


def test_masks_learned_on_compensated_weights_go_on_from_every_stage(shop):
    config = shop.config(method="hyperprune", objective="compensated", compensation="linear", samples=8)
    events = run_all(config)
    found = {checkpoint[0]["stage"]: checkpoint for checkpoint in checkpoints(events)}
    assert list(found) == ["layers", "compensation of the prior", "model", "compensation"]
    for checkpoint in found.values():
        resumed = run_all(config, checkpoint)
        if checkpoint[0]["stage"] != "compensation":
            assert same_arrays(masks(resumed, "model"), masks(events, "model"))
        assert resumed[-1].result["compensated_ppl"] == events[-1].result["compensated_ppl"]
        assert resumed[-1].result["mask_only_ppl"] == events[-1].result["mask_only_ppl"]


@pytest.mark.parametrize("method", ["sparsegpt", "magnitude"])
def test_other_methods_go_on_from_any_checkpoint(shop, method):
    config = shop.config(method=method, compensation="linear")
    events = run_all(config)
    found = checkpoints(events)
    for checkpoint in (found[1], found[-2]):
        resumed = run_all(config, checkpoint)
        assert resumed[0] == ev.RunResumed(from_checkpoint=True)
        for kind in (masks, weights):
            assert same_arrays(kind(resumed), {name: kind(events)[name] for name in kind(resumed)})
        told, expected = resumed[-1].result, events[-1].result
        for name in told.keys() - {"seconds", "peak_memory_bytes"}:
            assert told[name] == expected[name], name


@pytest.mark.parametrize("seed", [0, 1])
def test_residual_logits_and_their_network_survive_a_resume(shop, seed):
    config = shop.config(method="hyperprune", residual_logits=True, compensation="none", seed=seed)
    events = run_all(config)
    share = events[-1].result["groups_decided_by_hypernetwork"]
    at_work = [found for found in checkpoints(events) if found[0]["stage"] == "model"]
    resumed = run_all(config, at_work[2])
    assert same_arrays(masks(events), masks(resumed))
    assert resumed[-1].result["groups_decided_by_hypernetwork"] == share
    assert same_arrays(saved_networks(events)["model"], saved_networks(resumed)["model"])
    layers, model = (networks(saved_networks(events)[stage]) for stage in ("layers", "model"))
    # Where nothing beat the start, the network that gave the start is the one to keep.
    won = not same_arrays(masks(events, "layers"), masks(events, "model"))
    assert same_arrays(layers, model) == (not won)
    # Free logits are no decision of the network.
    assert share < 1 or not won


def saved_networks(events):
    return {event.stage: event.arrays for event in events if isinstance(event, ev.NetworkSaved)}


def networks(arrays):
    return {name: array for name, array in arrays.items() if name.startswith("network/")}


# -- killed


def inside_a_block(event: ev.Event) -> bool:
    return isinstance(event, ev.StepMeasured) and (event.stage, event.block, event.step) == ("layers", 1, 1)


def between_blocks(event: ev.Event) -> bool:
    return isinstance(event, ev.BlockFinished) and (event.stage, event.block) == ("layers", 1)


def while_compensating(event: ev.Event) -> bool:
    return isinstance(event, ev.StepMeasured) and (event.stage, event.block) == ("compensation", 1)


def never(event: ev.Event) -> bool:
    return False


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def worker(config: RunConfig, path: Path, moment, files: int | None) -> None:
    """Run into a record and die at a moment, or while the file with that number is half written."""
    patch = pytest.MonkeyPatch()
    shrink(patch)
    learn_fast(patch)
    if files is not None:
        patch.setattr("hyperprune_lab.record.tensors._chunks", _deadly_chunks(files))
    for event in run_to_record(config, path):
        if moment(event):
            kill_self()


def _deadly_chunks(files: int):
    from hyperprune_lab.record import tensors

    chunks, begun = tensors._chunks, []

    def half(*given):
        begun.append(given)
        for number, chunk in enumerate(chunks(*given)):
            if number and len(begun) == files:
                kill_self()
            yield chunk

    return half


@contextmanager
def running(*given):
    """A worker that is gone afterwards in any case."""
    context = get_context("forkserver")
    # What takes seconds to import is imported once.
    context.set_forkserver_preload(["tests.pipeline.test_resume"])
    process = context.Process(target=worker, args=given)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def has_died(process: BaseProcess) -> None:
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "files"),
    [
        (inside_a_block, None),
        (between_blocks, None),
        (while_compensating, None),
        (never, 14),
    ],
)
def test_a_killed_run_ends_the_same(whole, tmp_path, moment, files):
    path = tmp_path / "run"
    with running(whole.config, path, moment, files) as process:
        has_died(process)
    assert Store(path).state == "interrupted"
    assert bool(list(path.glob("*/.*.tmp"))) == (files is not None)
    assert isinstance(list(resume_record(path))[-1], ev.RunFinished)
    assert_as_if_nothing_happened(path, whole)


@pytest.mark.slow
def test_a_run_killed_from_outside_ends_the_same(whole, tmp_path):
    path = tmp_path / "run"
    in_the_model_stage = (event for event in whole.events if getattr(event, "stage", None) == "model")
    after = whole.events.index(next(in_the_model_stage)) + random.Random(0).randrange(8)
    with running(whole.config, path, never, None) as process:
        while process.is_alive() and not (path / "run.sqlite").exists():
            time.sleep(0.01)
        while process.is_alive() and Store(path).last_seq < after:
            time.sleep(0.01)
        process.kill()
        has_died(process)
    list(resume_record(path))
    assert_as_if_nothing_happened(path, whole)


def test_a_second_writer_is_refused_while_the_first_runs(shop, tmp_path):
    path = tmp_path / "run"
    first = run_to_record(shop.config(), path)
    for event in first:
        if isinstance(event, ev.BlockStarted):
            break
    with pytest.raises(UserError, match="is being written by process"):
        next(resume_record(path))
    with pytest.raises(UserError, match="exists"):
        next(run_to_record(shop.config(), path))
    assert isinstance(list(first)[-1], ev.RunFinished)
    with pytest.raises(UserError, match="finished"):
        next(resume_record(path))


def test_a_record_that_ends_before_its_first_checkpoint_starts_over(shop, tmp_path):
    path = tmp_path / "run"
    config = shop.config()
    control = RunControl()
    control.stop()
    assert [type(event) for event in run_to_record(config, path, control)] == [ev.RunStarted, ev.RunStopped]
    again = list(resume_record(path))
    assert isinstance(again[0], ev.RunStarted)
    assert same_arrays(masks(again), masks(run_all(config)))


def test_a_checkpoint_holds_everything_as_json_and_plain_arrays(whole):
    for state, arrays in checkpoints(whole.events):
        assert isinstance(state["stage"], str)
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_a_failed_run_says_so_and_can_be_resumed(shop, tmp_path, monkeypatch):
    path = tmp_path / "run"
    config = shop.config(compensation="none")
    with monkeypatch.context() as patch:
        patch.setattr("hyperprune_lab.pipeline.audit.propagation", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(run_to_record(config, path))
    store = Store(path)
    assert store.state == "failed"
    (failed,) = store.events(kinds=("RunFailed",))
    assert failed.payload["kind"] == "ZeroDivisionError"
    resumed = list(resume_record(path))
    assert isinstance(resumed[-1], ev.RunFinished)
    reference = list(prune(config))[-1].result
    assert resumed[-1].result["mask_only_ppl"] == reference["mask_only_ppl"]
