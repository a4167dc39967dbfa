"""Networks that a user's function returns, of a file of code or of a package."""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from equiscope.networks.built import ASSUMED, Built
from equiscope.networks.catalogue import Entry
from equiscope.networks.wording import enumerated, pixels, summary


def from_function(constructor: str, entry: Entry | None, *, overridden: Mapping[str, object]) -> Built:
    """The network that `FILE.py:FUNCTION` or `package.module:FUNCTION` returns.

    `overridden` holds what the user says of the preprocessing, None where nothing is said and so has to be assumed.
    """
    model = _returned(constructor, entry.arguments if entry else {})
    if entry and entry.preprocessing:
        return Built(model, entry.preprocessing, {}, ())
    assumed = {
        "size": f"an input of {pixels(ASSUMED.size)} pixels",
        "mean": f"ImageNet's mean {ASSUMED.mean}",
        "std": f"ImageNet's deviation {ASSUMED.std}",
    }
    open_questions = [what for key, what in assumed.items() if overridden[key] is None]
    remark = f"{constructor} declares no preprocessing: assumed {enumerated(open_questions)}."
    weights = {"source": f"as {constructor} returns it"}
    return Built(model, ASSUMED, weights, (remark,) if open_questions else ())


def _returned(constructor: str, arguments: Mapping[str, Any]) -> nn.Module:
    source, _, function_name = (constructor + ":" if constructor.endswith(".py") else constructor).rpartition(":")
    is_file = source.endswith(".py")
    with _siblings_importable(Path(source).resolve().parent) if is_file else nullcontext():
        module = _file_module(Path(source)) if is_file else _package_module(source)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise ValueError(f"no function {function_name!r} in {source}: write {source}:FUNCTION, {_offered(module)}")
        try:
            model = function(**arguments)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{constructor} raised {summary(error)}: it must run without arguments") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{constructor} returned a value of type {type(model).__name__}, not a torch.nn.Module")
    return model


@contextmanager
def _siblings_importable(folder: Path) -> Iterator[None]:
    """The modules beside a file come first; then they are forgotten, so that another file finds its own namesakes."""
    path, modules, no_bytecode = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = no_bytecode
        for name in set(sys.modules) - modules:
            if _lies_in(folder, name):
                del sys.modules[name]


def _lies_in(folder: Path, name: str) -> bool:
    """Whether the imported module is a sibling's: a package installed somewhere below the folder is not."""
    module = sys.modules[name]
    file = getattr(module, "__file__", None)
    places = [Path(place) for place in ([file] if file else getattr(module, "__path__", ()))]
    top = folder / name.partition(".")[0]
    return any(place in (top, top.with_name(top.name + ".py")) or top in place.parents for place in places)


def _file_module(file: Path) -> ModuleType:
    if not file.is_file():
        raise ValueError(f"there is no file {file}: FILE.py:FUNCTION needs a file of Python code")
    path = file.resolve()
    # Not the file's own name: it may be that of an imported module.
    name = f"{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader  # as for every path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script may read its own arguments, and give up
        del sys.modules[name]
        raise ValueError(f"importing {file} raised {summary(error)}: it must run by itself") from error
    return module


def _package_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ValueError(
            f"importing {name!r} raised {summary(error)}: a network is a name in the catalogue, timm:NAME, "
            "torchvision:NAME, transformers:NAME, FILE.py:FUNCTION or package.module:FUNCTION"
        ) from error


def _offered(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    return f"where FUNCTION is one of {', '.join(own[:20])}" if own else "but it defines none"
