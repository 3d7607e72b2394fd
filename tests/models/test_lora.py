"""A LoRA is merged whole, to the weights that arithmetic gives, or refused."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import MissingExtraError, RecipeError, WeightsError
from synrs_data.models.lora import find_lora
from synrs_data.models.lora_merge import merge_lora
from synrs_data.models.source import locate
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_families import write_sat_pipeline
from tests.tiny_lora import Format, Pairs, merge_by_hand, tensors_of, tiny_pairs, write_lora

pytest.importorskip("peft", reason="the extra `lora` is not installed")


@pytest.fixture(scope="module")
def pairs(tiny_pipeline: Path) -> Pairs:
    return tiny_pairs(tiny_pipeline)


def load(folder: Path, dtype: str = "float32") -> Any:
    import torch

    from synrs_data.models.diffusers_folder import load_pipeline

    return load_pipeline(locate(str(folder)), dtype=getattr(torch, dtype))


def merged(model: Path, lora: Path, scale: float = 1.0) -> Any:
    pipeline = load(model)
    merge_lora(pipeline, find_lora(str(lora)), scale)
    return pipeline


def refused(model: Path, lora: Path) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        merged(model, lora)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    return caught.value


def weights(pipeline: Any) -> dict[str, Any]:
    return {
        f"{part}.{name}": tensor
        for part in ("unet", "text_encoder")
        for name, tensor in getattr(pipeline, part).state_dict().items()
    }


def assert_same(one: Any, other: Any) -> None:
    ours, expected = weights(one), weights(other)
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        assert float((ours[name] - tensor).abs().max()) < 1e-6, name


def alphas_of(pairs: Pairs) -> dict[str, float]:
    """An alpha for each layer: most have the same, some another."""
    return {layer: (3.0 if number % 4 else 0.5) for number, layer in enumerate(pairs)}


@pytest.mark.parametrize("form", ["diffusers", "old", "kohya"])
@pytest.mark.parametrize("scale", [1.0, 0.6, -0.5])
def test_each_weight_is_that_of_the_arithmetic(
    tiny_pipeline: Path, pairs: Pairs, tmp_path: Path, form: Format, scale: float
) -> None:
    file = write_lora(tmp_path / "lora", tensors_of(pairs, form))
    by_hand = merge_by_hand(tiny_pipeline, tmp_path / "model", pairs, dict.fromkeys(pairs, scale))
    pipeline = merged(tiny_pipeline, file, scale)
    assert_same(pipeline, load(by_hand))
    plain = weights(load(tiny_pipeline))
    changed = [name for name, tensor in weights(pipeline).items() if not tensor.equal(plain[name])]
    assert len(changed) == len(pairs)


def test_alphas_of_every_layer_count(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    alphas = alphas_of(pairs)
    file = write_lora(tmp_path / "lora", tensors_of(pairs, "kohya", alphas))
    strengths = {layer: 0.7 * alphas[layer] / len(pairs[layer][0]) for layer in pairs}
    by_hand = merge_by_hand(tiny_pipeline, tmp_path / "model", pairs, strengths)
    assert_same(merged(tiny_pipeline, file, 0.7), load(by_hand))


def test_the_alpha_of_pefts_configuration_counts(tiny_pipeline: Path, tmp_path: Path) -> None:
    pairs = tiny_pairs(tiny_pipeline, parts=("unet",))
    targets = [layer.removeprefix("unet.") for layer in pairs]
    metadata = {"unet.r": 2, "unet.lora_alpha": 5, "unet.target_modules": targets}
    file = write_lora(tmp_path / "lora", tensors_of(pairs), metadata)
    by_hand = merge_by_hand(tiny_pipeline, tmp_path / "model", pairs, dict.fromkeys(pairs, 2.5))
    assert_same(merged(tiny_pipeline, file), load(by_hand))


def test_a_sat_unet_keeps_its_class_and_metadata(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    model = write_sat_pipeline(tiny_pipeline, tmp_path / "sat")
    pipeline = merged(model, write_lora(tmp_path / "lora", tensors_of(pairs)))
    by_hand = merge_by_hand(tiny_pipeline, tmp_path / "model", pairs, dict.fromkeys(pairs, 1.0))
    expected, plain = weights(load(by_hand)), weights(load(model))
    for name, tensor in weights(pipeline).items():
        other = plain[name] if "metadata_embedding" in name else expected[name]
        assert float((tensor - other).abs().max()) < 1e-6, name
    assert type(pipeline.unet).__name__ == "SatUNet"


def test_nothing_of_peft_stays_in_the_pipeline(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    pipeline = merged(tiny_pipeline, write_lora(tmp_path / "lora", tensors_of(pairs)))
    for part in (pipeline.unet, pipeline.text_encoder):
        assert not [type(module) for module in part.modules() if type(module).__module__.startswith("peft")]


def test_half_precision_is_merged_too(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    import torch

    half = {name: tensor.half() for name, tensor in tensors_of(pairs).items()}
    pipeline = load(tiny_pipeline, "bfloat16")
    merge_lora(pipeline, find_lora(str(write_lora(tmp_path / "lora", half))), 1.0)
    by_hand = merge_by_hand(tiny_pipeline, tmp_path / "model", pairs, dict.fromkeys(pairs, 1.0))
    expected = weights(load(by_hand))
    for name, tensor in weights(pipeline).items():
        assert tensor.dtype in (torch.bfloat16, torch.int64)
        assert float((tensor - expected[name]).abs().max()) < 0.03, name


Change = Callable[[dict[str, Any]], object]


def of_a_layer_that_is_not_there(tensors: dict[str, Any]) -> str:
    for end in ("lora_A", "lora_B"):
        tensors[f"unet.nowhere.to_q.{end}.weight"] = next(iter(tensors.values())) * 2
    return "unet.nowhere.to_q.lora_A.weight"


def of_another_component(tensors: dict[str, Any]) -> str:
    tensors["transformer.to_q.lora_A.weight"] = next(iter(tensors.values())) * 2
    return "transformer.to_q.lora_A.weight"


def without_a_prefix(tensors: dict[str, Any]) -> str:
    name = next(name for name in sorted(tensors) if name.startswith("unet."))
    tensors[name.removeprefix("unet.")] = tensors.pop(name) * 2
    return name.removeprefix("unet.")


def of_dora(tensors: dict[str, Any]) -> str:
    import torch

    tensors["lora_unet_mid_block_attentions_0.dora_scale"] = torch.ones(8)
    return "lora_unet_mid_block_attentions_0.dora_scale"


@pytest.mark.parametrize(
    "change", [of_a_layer_that_is_not_there, of_another_component, without_a_prefix, of_dora]
)
def test_a_tensor_that_would_be_dropped_is_an_error_that_names_it(
    tiny_pipeline: Path, pairs: Pairs, tmp_path: Path, change: Callable[[dict[str, Any]], str]
) -> None:
    tensors = tensors_of(pairs)
    name = change(tensors)
    error = refused(tiny_pipeline, write_lora(tmp_path / "lora", tensors))
    assert "would be dropped" in error.what
    assert name in error.what


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_diffusers_itself_drops_them(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    """What is refused above is what diffusers loads with a warning at most."""
    tensors = tensors_of(pairs)
    for change in (of_a_layer_that_is_not_there, of_another_component, without_a_prefix, of_dora):
        change(tensors)
    file = write_lora(tmp_path / "lora", tensors)
    load(tiny_pipeline).load_lora_weights(str(file.parent), weight_name=file.name)


def test_the_format_of_peft_is_refused_because_its_alpha_is_elsewhere(
    tiny_pipeline: Path, pairs: Pairs, tmp_path: Path
) -> None:
    tensors = {f"base_model.model.{name}": tensor for name, tensor in tensors_of(pairs).items()}
    error = refused(tiny_pipeline, write_lora(tmp_path / "lora", tensors))
    assert f"{len(tensors)} tensors match nothing in the StableDiffusionPipeline" in error.what


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
@pytest.mark.parametrize("end", [0, 1])
def test_half_of_a_pair_is_an_error(
    tiny_pipeline: Path, pairs: Pairs, tmp_path: Path, form: Format, end: int
) -> None:
    tensors = tensors_of(pairs, form)
    names = [name for name in tensors if "to_q" in name][:2]
    del tensors[names[end]]
    refused(tiny_pipeline, write_lora(tmp_path / "lora", tensors))


def test_an_alpha_of_no_layer_is_an_error(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    import torch

    tensors = tensors_of(pairs, "kohya", alphas_of(pairs)) | {"lora_unet_nowhere.alpha": torch.tensor(1.0)}
    assert "lora_unet_nowhere.alpha" in refused(tiny_pipeline, write_lora(tmp_path / "lora", tensors)).what


def test_a_lora_of_another_base_is_an_error(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    import torch

    tensors = {name: torch.cat([tensor, tensor], dim=-1) for name, tensor in tensors_of(pairs).items()}
    error = refused(tiny_pipeline, write_lora(tmp_path / "lora", tensors))
    assert "StableDiffusionPipeline" in error.what


def test_numbers_that_are_none_are_an_error(tiny_pipeline: Path, pairs: Pairs, tmp_path: Path) -> None:
    tensors = tensors_of(pairs)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    file = write_lora(tmp_path / "lora", tensors)
    next(iter(pairs.values()))[0].view(-1)[0] = 0.1
    assert "cannot be merged" in refused(tiny_pipeline, file).what


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_an_error(
    tiny_pipeline: Path, pairs: Pairs, tmp_path: Path, share: float
) -> None:
    file = write_lora(tmp_path / "lora", tensors_of(pairs))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    assert "cannot be read" in refused(tiny_pipeline, file).what


def test_what_is_no_lora_is_told(tiny_pipeline: Path, tmp_path: Path) -> None:
    error = refused(tiny_pipeline, tiny_pipeline / "unet")
    assert "is no LoRA: it holds conv_in.bias" in error.what
    with pytest.raises(WeightsError, match="no safetensors file"):
        find_lora(str(tiny_pipeline))
    net = write_tiny_controlnet(tmp_path / "net")
    assert "is no LoRA" in refused(tiny_pipeline, net).what


def test_a_pipeline_that_takes_none_is_told(pairs: Pairs, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "lora", tensors_of(pairs))
    with pytest.raises(RecipeError, match="object takes no LoRA"):
        merge_lora(object(), find_lora(str(file)), 1.0)


@pytest.mark.parametrize(
    "name", ["", "nowhere/at/all.safetensors", "lora.safetensors", "~nobody/x", "x" * 5000]
)
def test_a_lora_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(WeightsError, match="there is no LoRA") as caught:
        find_lora(name)
    assert caught.value.where == "'generator.lora'"


def test_a_hub_id_that_cannot_be_asked_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="the Hub does not give"):
        find_lora("nobody/nothing-of-this-name")


@pytest.mark.parametrize("name", ["pytorch_lora_weights.bin", "lora.pt", "lora.ckpt", "lora.pth"])
@pytest.mark.parametrize("as_folder", [False, True])
def test_a_pickle_is_refused_unread(tmp_path: Path, name: str, as_folder: bool) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04not read")
    with pytest.raises(WeightsError, match="is a pickle") as caught:
        find_lora(str(tmp_path if as_folder else tmp_path / name))
    assert "safetensors" in caught.value.fix


def test_a_pickle_under_the_name_of_safetensors_is_not_run(tiny_pipeline: Path, tmp_path: Path) -> None:
    import torch

    file = tmp_path / "lora.safetensors"
    torch.save({"unet.to_q.lora_A.weight": torch.ones(2)}, file)
    assert "cannot be read" in refused(tiny_pipeline, file).what


def test_a_file_a_folder_and_a_folder_of_models_are_the_same_lora(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "ORG" / "REPO"
    file = write_lora(folder, tensors_of(pairs))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    monkeypatch.chdir(tmp_path)
    found = [find_lora(name) for name in (str(file), str(folder), "ORG/REPO")]
    assert [lora.name for lora in found] == [file.name, "REPO", "ORG/REPO"]
    assert {(lora.file, lora.license, lora.revision) for lora in found} == {(file, "cc-by-4.0", "local")}
    assert len({lora.sha256() for lora in found}) == 1


def test_of_several_files_the_standard_one_is_used_or_one_must_be_named(pairs: Pairs, tmp_path: Path) -> None:
    file = write_lora(tmp_path, tensors_of(pairs))
    shutil.copy(file, tmp_path / "a.safetensors")
    assert find_lora(str(tmp_path)).file == file
    file.rename(tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match=r"holds 2 safetensors files: a\.safetensors, b\.safetensors"):
        find_lora(str(tmp_path))
    assert find_lora(str(tmp_path / "b.safetensors")).license == "unknown"


def test_without_peft_the_message_says_what_to_install(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_lora(tmp_path, tensors_of(pairs))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        find_lora(str(file))
    assert 'pip install "synrs-data[lora]"' in caught.value.fix
