"""Networks that cannot be measured, refused before anything is run."""

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def check_network(model: Any) -> None:
    """ValueError where it is no network, or one that does not let its layers be read."""
    if isinstance(model, torch.export.ExportedProgram):
        raise ValueError(
            "A network is a torch.nn.Module, and an exported program is none; give torch.export.unflatten(program), or "
            "the torch.nn.Module that it was made from."
        )
    if not isinstance(model, nn.Module):
        given = f"the class {model.__name__}" if isinstance(model, type) else f"a value of type {type(model).__name__}"
        raise ValueError(f"A network is a torch.nn.Module, and {given} is none; build one and load its weights.")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            which = f"Its module {name}" if name else "The network"
            raise ValueError(
                f"{which} is TorchScript, whose layers cannot be read; give the torch.nn.Module that it was made from."
            )
    if isinstance(model, torch.fx.GraphModule) and not _modules_called(model):
        raise ValueError(
            "The network is a graph that torch.export made, without modules to read; give the torch.nn.Module that it "
            "was made from, or torch.export.unflatten(program)."
        )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise ValueError(f"The network's {name} gets its shape from the first image; run it on one beforehand.")


def _modules_called(graph: torch.fx.GraphModule) -> list[str]:
    """The modules that a graph calls, but for those that only check its inputs."""
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    return [name for name in called if not name.startswith("_guards")]
