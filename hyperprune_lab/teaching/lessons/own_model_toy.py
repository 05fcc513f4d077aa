"""A stranger for notebook 08: a tiny random model of another architecture, made where no network is needed; its run.

Knows nothing about what the lesson asks.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.launch import background_threads, launch
from hyperprune_lab.record.reader import Run, open_run

PATIENCE_SECONDS = 90.0
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def make(folder: Path) -> Path:
    """A GPT-2 of two blocks with random weights and the embedded model's tokenizer, as a folder like any other."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    demo = data_folder() / "models" / "demo"
    words = AutoTokenizer.from_pretrained(demo)
    config = GPT2Config(
        vocab_size=len(words),
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=128,
        bos_token_id=words.eos_token_id,
        eos_token_id=words.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()
    for name in _TOKENIZER:
        shutil.copy(demo / name, folder / name)
    return folder


def prune(settings: dict[str, Any], out: Path) -> Run:
    """Carry out the run in a process of its own, and wait for its end.

    Raises:
        UserError: it did not come to its end, or not in time.
    """
    launch(RunConfig.from_json(settings), out, detach=False, threads=background_threads())
    run = open_run(out)
    before = time.time()
    while run.state == "running" and time.time() - before < PATIENCE_SECONDS:
        time.sleep(0.2)
    if run.state != "finished":
        raise UserError(f"The run is {run.state}, not finished.")
    return run
