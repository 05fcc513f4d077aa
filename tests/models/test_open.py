"""Opening models: what a sound folder gives, and a message with a way out for whatever is wrong with one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file

from hyperprune_lab import folders
from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder
from hyperprune_lab.models import locate, open_model
from tests.architectures import CORE_ARCHITECTURES, POSITIONS, VOCABULARY, build, save_tiny

NATIVE_BF16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
HALF_ON_CPU = "bfloat16" if NATIVE_BF16 else "float32"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A copy of a sound folder, to be spoiled."""
    return Path(shutil.copytree(stored, tmp_path / "model"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def shard(folder: Path) -> list[Path]:
    """Store the weights as two files with an index; gives the two in order."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    parts: list[dict[str, torch.Tensor]] = [{}, {}]
    for place, (key, tensor) in enumerate(tensors.items()):
        parts[place % 2][key] = tensor
    for name, part in zip(names, parts, strict=True):
        save_file(part, folder / name, metadata={"format": "pt"})
    weight_map = {key: names[place % 2] for place, key in enumerate(tensors)}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return [folder / name for name in names]


@pytest.mark.parametrize("architecture", CORE_ARCHITECTURES)
def test_every_architecture_opens_as_it_was_stored(architecture: str, tmp_path: Path) -> None:
    opened = open_model(str(save_tiny(architecture, tmp_path)))
    original = build(architecture)
    ids = torch.arange(VOCABULARY).reshape(4, 32)
    assert torch.equal(opened.model(ids).logits, original(ids).logits)
    assert opened.context == POSITIONS
    assert (
        opened.tokenizer.decode(opened.tokenizer("Two cats, one mat.\n")["input_ids"])
        == "Two cats, one mat.\n"
    )
    assert opened.identity["architecture"] == type(original).__name__
    assert opened.identity["parameters"] == sum(parameter.numel() for parameter in original.parameters())


def test_an_open_model_is_ready_for_pruning(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edit_config(folder, use_cache=True)
    opened = open_model(str(folder), attention="eager")
    assert not opened.model.training
    assert not any(parameter.requires_grad for parameter in opened.model.parameters())
    assert opened.model.config.use_cache is False
    assert opened.path == folder
    assert opened.identity["attention"] == "eager"
    assert "".join(capfd.readouterr()) == "", "opening a model prints nothing of its own"
    json.dumps(opened.identity)


def test_a_context_that_the_configuration_does_not_say(tmp_path: Path) -> None:
    assert open_model(str(save_tiny("bloom", tmp_path))).context == 2048
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 77}))
    assert open_model(str(tmp_path)).context == 77


@pytest.mark.parametrize(
    ("stored_as", "asked", "expected"),
    [
        (torch.float32, None, "float32"),
        (torch.bfloat16, None, HALF_ON_CPU),
        (torch.float16, None, HALF_ON_CPU),
        (torch.float16, "float16", "float16"),
        (torch.bfloat16, "float32", "float32"),
    ],
)
def test_data_types(folder: Path, stored_as: torch.dtype, asked: str | None, expected: str) -> None:
    # The configuration still says float32: what counts is what the files hold.
    edit_weights(folder, lambda tensors: tensors.update({k: t.to(stored_as) for k, t in tensors.items()}))
    opened = open_model(str(folder), dtype=asked)
    assert opened.identity["dtype"] == expected
    assert opened.identity["stored_dtype"] == str(stored_as).removeprefix("torch.")
    assert {parameter.dtype for parameter in opened.model.parameters()} == {getattr(torch, expected)}


def test_the_digest_is_that_of_the_weight_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = open_model(str(folder)).identity
    assert whole["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert whole["config_sha256"] == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    assert whole["sha256_covers"] == "all bytes"
    files = shard(folder)
    sharded = open_model(str(folder)).identity
    assert sharded["sha256"] == hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    monkeypatch.setattr(folders, "LARGEST_HASHED_BYTES", 100)
    short = open_model(str(folder)).identity
    assert short["sha256"] != sharded["sha256"]
    assert short["sha256_covers"].startswith("size and header of 2 files over 2 GiB")


def test_a_changed_byte_changes_the_digest(folder: Path) -> None:
    before = open_model(str(folder)).identity["sha256"]
    edit_weights(folder, lambda tensors: tensors["model.norm.weight"][0].add_(1))
    assert open_model(str(folder)).identity["sha256"] != before


def refuse_network(*args: object, **kwargs: object) -> None:
    raise AssertionError("the network was asked")


@pytest.mark.parametrize("name", ["no-such-model", "./no/such", "/no/such", "a/b/c", "~/no-such", "gpt2/"])
def test_a_name_that_can_only_be_a_folder_fails_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "snapshot_download", refuse_network)
    with pytest.raises(UserError, match=r"no such folder.*config\.json.*owner/name.*'demo'") as caught:
        open_model(name)
    assert name in str(caught.value)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(UserError, match=r"model\.safetensors is a file, not a model's folder"):
        open_model(str(folder / "model.safetensors"))


def test_a_hub_model_that_is_not_here_while_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        UserError, match=r"'owner/tiny' here: no|'owner/tiny' here: there is no such folder, HF_HUB_"
    ):
        open_model("owner/tiny")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(UserError, match=r"the hub cannot be reached.*Connect to the network, or download"):
        open_model("owner/tiny")


def test_a_hub_model_from_the_cache_opens_offline_with_its_commit(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--owner--tiny"
    shutil.copytree(stored, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    opened = open_model("owner/tiny")
    assert (opened.name, opened.identity["revision"]) == ("owner/tiny", commit)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (GatedRepoError, "gated: accept its license on https://huggingface.co/owner/tiny.*hf auth login"),
        (RepositoryNotFoundError, "no model 'owner/tiny'.*the hub knows none of this name"),
        (ConnectionResetError, "could not be downloaded .ConnectionResetError.*Try again"),
    ],
)
def test_what_the_hub_answers_is_told(
    kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*args: object, **kwargs: object) -> None:
        raise kind.__new__(kind)

    monkeypatch.setattr(locate, "snapshot_download", answer)
    with pytest.raises(UserError, match=message):
        open_model("owner/tiny")


def test_weights_are_not_downloaded_before_the_configuration_is_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_config(folder, quantization_config={"quant_method": "gptq"})
    asked: list[list[str]] = []

    def download(name: str, allow_patterns: list[str], **rest: object) -> str:
        asked.append(allow_patterns)
        return str(folder)

    monkeypatch.setattr(locate, "snapshot_download", download)
    with pytest.raises(UserError, match="quantized"):
        open_model("owner/tiny")
    (patterns,) = asked
    assert not any("safetensors" in pattern or ".py" in pattern for pattern in patterns)


def test_the_embedded_model_is_found_through_the_data_folder(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HYPERPRUNE_LAB_DATA", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"HYPERPRUNE_LAB_DATA names .*absent, which is no folder"):
        open_model("demo")
    monkeypatch.setenv("HYPERPRUNE_LAB_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    with pytest.raises(UserError, match=r"embedded model is not in .*python -m hyperprune_lab\.demo\.train"):
        open_model("demo")
    shutil.copytree(stored, tmp_path / "models" / "demo")
    opened = open_model("demo")
    assert (opened.name, opened.path) == ("demo", tmp_path / "models" / "demo")


def test_without_the_variable_the_data_folder_lies_in_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "hyperprune_lab"
    monkeypatch.delenv("HYPERPRUNE_LAB_DATA", raising=False)
    monkeypatch.setattr(folders.hyperprune_lab, "__file__", str(package / "__init__.py"))
    with pytest.raises(UserError, match=r"install from a checkout .*HYPERPRUNE_LAB_DATA"):
        data_folder()
    (tmp_path / "data").mkdir()
    assert data_folder() == tmp_path / "data"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"quantization_config": {"quant_method": "fp8"}},
            r"quantized weights \(fp8\), which cannot be pruned",
        ),
        ({"text_config": {"quantization_config": {"bits": 4}}}, "quantized weights"),
        ({"model_type": "brand_new"}, "transformers .* does not know the model type 'brand_new'"),
        (
            {"model_type": "brand_new", "auto_map": {"AutoModelForCausalLM": "modeling.New"}},
            "Python code of its own .*trust_remote_code",
        ),
        ({"model_type": None}, "names no model_type"),
        ({"model_type": "t5"}, "is a t5 model, not a causal language model"),
        ({"model_type": "bart", "is_encoder_decoder": True}, "is a bart model, not a causal"),
        ({"hidden_size": "wide"}, r"config\.json describes no model .*hidden_size"),
        ({"intermediate_size": 48}, r"stores .*down_proj\.weight as \[32, 64\], but .* asks for \[32, 48\]"),
        ({"num_hidden_layers": 4}, r"lacks 9 of the weights .* such as model\.layers\.3\."),
    ],
)
def test_configurations_that_are_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(UserError, match=message) as caught:
        open_model(str(folder))
    assert str(folder) in str(caught.value)


def test_code_of_its_own_is_not_needed_where_the_library_knows_the_model(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Llama"})
    (folder / "modeling.py").write_text("raise RuntimeError('remote code ran')")
    assert open_model(str(folder)).identity["architecture"] == "LlamaForCausalLM"


def test_stored_tensors_that_the_configuration_does_not_ask_for_are_counted(folder: Path) -> None:
    assert open_model(str(folder)).identity["unused_tensors"] == 0
    edit_config(folder, num_hidden_layers=2)
    assert open_model(str(folder)).identity["unused_tensors"] == 9


def spoil_nothing_left(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def spoil_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def spoil_truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def spoil_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:])


def spoil_empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def spoil_pointer(folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (folder / "model.safetensors").write_text(text)


def spoil_lost_shard(folder: Path) -> None:
    shard(folder)[1].unlink()


def spoil_outside_shard(folder: Path) -> None:
    shard(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00002-of", "../model-00002-of"))


def spoil_index(folder: Path) -> None:
    shard(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [')


def spoil_integers(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update({k: t.to(torch.int8) for k, t in tensors.items()}))


def spoil_missing_tensor(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))


def spoil_nan(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors["model.layers.2.mlp.up_proj.weight"][3].fill_(float("nan")))


def spoil_infinite(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors["model.norm.weight"][-1].fill_(float("-inf")))


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"')


def spoil_config_kind(folder: Path) -> None:
    (folder / "config.json").write_text("[1, 2]")


def spoil_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def spoil_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def spoil_no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_nothing_left, r"has no weights: model\.safetensors is missing"),
        (
            spoil_pickle,
            r"only in pytorch_model\.bin, a pickle.*refused.*Convert it to safetensors.*save_pretrained",
        ),
        (spoil_truncated, "is cut short or damaged .*fetch the model again"),
        (spoil_header, "is cut short or damaged .*fetch the model again"),
        (spoil_empty, "is cut short or damaged .*fetch the model again"),
        (spoil_pointer, "Git LFS pointer.*git lfs pull"),
        (spoil_lost_shard, "lacks model-00002-of-00002.safetensors, which its index names"),
        (spoil_outside_shard, "names a file outside its folder"),
        (spoil_index, r"index\.json is damaged"),
        (spoil_integers, "stores its weights as I8: only float32"),
        (spoil_missing_tensor, r"lacks 1 of the weights .* such as model\.layers\.1\.mlp\.up_proj\.weight"),
        (spoil_nan, r"model\.layers\.2\.mlp\.up_proj\.weight holds NaN or infinite values"),
        (spoil_infinite, r"model\.norm\.weight holds NaN or infinite values"),
        (spoil_config, r"config\.json cannot be read as JSON"),
        (spoil_config_kind, r"config\.json names no model_type"),
        (spoil_no_config, r"has no config\.json"),
        (spoil_tokenizer, r"tokenizer in .* could not be opened"),
        (spoil_no_tokenizer, "tokenizer"),
    ],
)
def test_folders_that_are_refused(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=message) as caught:
        open_model(str(folder))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "quantum"}, "no device 'quantum': choose cpu, cuda"),
        ({"device": "meta"}, "no device 'meta'"),
        ({"device": "cuda:9999"}, "device 'cuda:9999' cannot be used here .*choose cpu"),
        ({"dtype": "int8"}, "no data type 'int8': choose float32, bfloat16"),
        ({"attention": "telepathy"}, "could not be opened .*telepathy"),
    ],
)
def test_options_that_are_refused(stored: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_model(str(stored), **options)  # type: ignore[arg-type]


def test_an_attention_that_the_architecture_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="BloomForCausalLM does not support"):
        open_model(str(save_tiny("bloom", tmp_path)), attention="sdpa")
