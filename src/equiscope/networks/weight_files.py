"""Files of weights: one, or several with an index, or a folder of them; read without executing code."""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from equiscope.networks.wording import enumerated, summary

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
INDEX = ".index.json"  # ends the name of the file that tells which tensor is in which part

_NESTED_UNDER = ("state_dict", "model_state_dict", "model_state", "model")
_AVERAGED_UNDER = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")  # its number, of how many


class Held(NamedTuple):
    """Tensors by name, the files they are from, the one that names these, and sentences on what was chosen."""

    tensors: dict[str, Tensor]
    files: tuple[Path, ...]
    named: Path
    remarks: tuple[str, ...] = ()


def held(path: Path) -> Held:
    """The tensors in a file of weights, in the parts that an index names, or in a folder that has either.

    ValueError where that cannot be read, is not all, or holds no state dict.
    """
    if path.is_dir():
        path = _in_folder(path)
    if path.name.endswith(INDEX):
        return _in_parts(path)
    if (part := _PART.fullmatch(path.name)) and int(part[3]) > 1 and path.is_file():
        raise ValueError(
            f"{path} is part {int(part[2])} of {int(part[3])} of the weights: give the folder of all of them, with "
            f"their {INDEX.removeprefix('.')}"
        )
    tensors, remarks = _state(path)
    return Held(tensors, (path,), path, remarks)


def _in_folder(folder: Path) -> Path:
    """The index or the only file of weights in a folder; of Safetensors, where others lie beside."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    found = [file for file in files if file.name.endswith(INDEX)]
    found = found or [file for file in files if file.suffix in SUFFIXES]
    safe = [file for file in found if ".safetensors" in file.suffixes]
    chosen = safe if len(safe) == 1 else found
    if len(chosen) == 1:
        return chosen[0]
    if (folder / ".metadata").is_file():
        raise ValueError(
            f"{folder} is a distributed checkpoint: make one file of it by python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch"
        )
    if not chosen:
        raise ValueError(f"the folder {folder} holds no weights: give one with a file {enumerated(SUFFIXES, 'or')}")
    if any(_PART.fullmatch(file.name) for file in chosen):
        raise ValueError(
            f"the folder {folder} holds parts of weights, as {chosen[0].name}, and not their "
            f"{INDEX.removeprefix('.')}: fetch that too"
        )
    several = enumerated([file.name for file in chosen[:4]])
    raise ValueError(f"the folder {folder} holds several files of weights ({several}): give one of them, or an index")


def _in_parts(index: Path) -> Held:
    """The tensors of all parts that an index names."""
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(places.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} cannot be read as an index of weights ({summary(error)})") from error
    if any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise ValueError(f"{index} is refused, as it names files outside of its folder")
    files = tuple(index.with_name(name) for name in names)
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"{index} names {len(files)} files, of which {len(missing)} are not beside it, the first is {missing[0]}"
        )
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _state(file)[0]
    if lacking := [name for name in places if name not in tensors]:
        raise ValueError(f"{index} names {len(lacking)} tensors that its files lack, the first is {lacking[0]}")
    return Held(tensors, files, index)


def _state(file: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict in a file, at whatever depth a training loop has put it, and what was chosen."""
    whole = state = _content(file)
    remarks: list[str] = []
    while isinstance(state, Mapping):
        inner = _nested(state, _NESTED_UNDER)
        averaged = _nested(state, _AVERAGED_UNDER)
        if inner is not None and averaged is not None:
            remarks.append(f"{file.name} also holds averaged weights, under {averaged}, which are not used.")
        elif averaged is not None:
            remarks.append(f"The weights are the averaged ones of {file.name}, under {averaged}.")
        if (inner or averaged) is None:
            break
        state = state[inner or averaged]
    if isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values()):
        for name, tensor in state.items():
            _check_tensor(file, name, tensor)
        return dict(state), tuple(remarks)
    what = f"the keys {enumerated(list(map(str, whole))[:9])}" if isinstance(whole, Mapping) else type(whole).__name__
    raise ValueError(f"{file} holds no state dict, but {what}: save model.state_dict(), names and tensors")


def _nested(state: Mapping[Any, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if isinstance(state.get(name), Mapping) and state[name]), None)


def _check_tensor(file: Path, name: Any, tensor: Tensor) -> None:
    """ValueError where it is not named by a text, or is no dense tensor of real numbers."""
    if not isinstance(name, str):
        raise ValueError(f"{file} names a tensor {name!r}, which is no text: save model.state_dict() as it is")
    if tensor.layout is not torch.strided or tensor.is_complex() or tensor.is_quantized:
        kind = "sparse" if tensor.layout is not torch.strided else str(tensor.dtype)
        raise ValueError(f"{file} holds {name} as a {kind} tensor: save it as a dense one of real numbers")


def _content(file: Path) -> Any:
    """What a file of weights holds, loaded without executing code."""
    suffixes = enumerated(SUFFIXES, "or")
    if not file.is_file():
        raise ValueError(f"there is no weights file {file}: give a file {suffixes}, or the word random")
    if file.suffix not in SUFFIXES:
        raise ValueError(f"{file} is not a file of weights by its name: {suffixes} is needed")
    _refuse_bomb(file)
    try:
        if file.suffix == ".safetensors" or _is_safetensors(file):
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


def _is_safetensors(file: Path) -> bool:
    """Whether a file of another name begins as Safetensors do: with the length of a header, and the header."""
    with file.open("rb") as stream:
        head = stream.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < file.stat().st_size


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
