"""A model without its weights: shapes, tokenizer and stored type, known in a moment and without memory.

Knows nothing about what is asked of it; the rest of the package treats it as a model that must not be run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from hyperprune_lab.errors import UserError
from hyperprune_lab.models.checkpoint import read_checkpoint, read_config
from hyperprune_lab.models.locate import locate_description
from hyperprune_lab.models.open import context_of, model_config, model_tokenizer, quietly


@dataclass(frozen=True, eq=False)
class Sketch:
    """``model`` lies on the meta device. ``complete`` says whether the weights are here and look sound.

    ``weight_bytes`` is what is stored, 0 where that is not here; ``stored_dtype`` then is what the configuration says.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    folder: Path
    context: int
    stored_dtype: str
    complete: bool
    weight_bytes: int


def sketch_model(name: str, trust_remote_code: bool = False) -> Sketch:
    """Shape the model ``name`` without reading its weights; of a hub model only small files are downloaded.

    Raises ``UserError`` as ``open_model`` does for everything that can be told without the weights.
    """
    folder, complete = locate_description(name, trust_remote_code)
    with quietly():
        if complete:
            checkpoint = read_checkpoint(folder, trust_remote_code)
            stored, size = checkpoint.stored_dtype, sum(path.stat().st_size for path in checkpoint.files)
        else:
            read_config(folder, trust_remote_code)
            stored, size = "", 0
        config = model_config(folder, trust_remote_code)
        tokenizer = model_tokenizer(folder, trust_remote_code)
        said = getattr(config, "dtype", None)
        stored = stored or str(said or torch.float32).removeprefix("torch.")
        try:
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
        except Exception as error:
            # Whatever an unusual configuration makes the library raise: it is the input that must be mended.
            raise UserError(
                f"{folder} describes no causal language model ({type(error).__name__}: {error})"
            ) from error
    return Sketch(
        model.eval(), tokenizer, name, folder, context_of(config, tokenizer), stored, complete, size
    )
