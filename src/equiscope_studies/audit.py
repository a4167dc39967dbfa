"""Does it just work on any network? A small member of every family of timm and torchvision, measured with no hint.

Claim: at least 95 of 100 families are measured without a word from the user, before and after pooling; the others fail
with a sentence that says what to declare. Each network has random weights and sees 4 photographs under the identity,
one shift and one rotation by 90 degrees, in its default layers at its own input size (those above 384 pixels on 224,
where they take it). Every score is checked: it lies between 0 and 1, or is NaN for a reason that the layer's own table
gives; under the identity every defined channel scores 1; and a measure that contains another scores no less. Every map
is checked: it is timm's own where timm tells its intermediate maps, it changes where the image does, and the network is
as it was. Beside timm and torchvision: small networks of transformers, and such as people write themselves. About an
hour of one CPU core, some minutes of it to find the smallest members. The seed draws the weights and the photographs.
"""

import json
import math
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import interpolate

import equiscope as es
from equiscope.results.columns import LADDER, SCOPES
from equiscope.system.files import in_utf8
from equiscope.system.output_folder import refuse_taken, written
from equiscope_studies.audit_checks import changed_state, checked_maps, state_of
from equiscope_studies.own_networks import own_networks
from equiscope_studies.results import markdown
from equiscope_studies.transformers_networks import transformers_networks

GOAL = 0.95  # of the families
EXACT = 1e-6  # so near to 1 is 1, under the identity
LEAST_SAMPLES = 4  # positions, over all images, that a correlation needs
LEAST_POSITIONS = 9  # within an image
VECTOR = "a vector has no score within one image"  # by definition, and so not listed of every network
NOT_OF_USE = "test_"  # timm's prefix for networks that nobody trains but its own tests


@dataclass(frozen=True)
class Settings:
    """How every network is measured."""

    images: int = 4
    shift: int = 4  # pixels, along the diagonal
    rotation: str = "rot90"
    batch_size: int = 16
    widest: int = 2048  # channels of a layer, of a network whose linear maps are fitted: wider ones take many minutes
    memory: float = 3.0  # GiB of accumulators; networks of hundreds of layers take several passes
    most_memory: float = 8.0  # likewise, where a layer of some thousand channels needs more alone
    large: int = 320  # networks of more pixels a side are measured on fewer, where they take them
    moderate: int = 224


SETTINGS = Settings()


@dataclass(frozen=True)
class Family:
    """The networks of one file of a library, as users name them."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Audited:
    """What became of one family; a row of the table."""

    family: str
    model: str
    parameters: int
    pixels: str  # of its input
    measured: int  # layers
    maps: int  # of them with a grid of positions
    undefined: str  # layers without a score in some row, and why, a line each
    left_out: str  # layers that are not measured, and why, a line each
    agreeing: int  # of timm's own intermediate maps, those that are ours
    seconds: float
    error: str  # empty where all is well


def families() -> Iterator[Family]:
    """Every file of timm that defines networks, every file of torchvision that defines classifiers, and single ones.

    The single ones are kinds of transformers, and networks as people write them.
    """
    import timm
    from torchvision import models

    for module in timm.list_modules():
        names = [name for name in timm.list_models(module=module) if not name.startswith(NOT_OF_USE)]
        if names:
            yield Family(module, tuple(f"timm:{name}" for name in names))
    files: dict[str, list[str]] = {}
    for name in models.list_models(module=models):
        files.setdefault(models.get_model_builder(name).__module__.rpartition(".")[2], []).append(name)
    for file, names in files.items():
        yield Family(file, tuple(f"torchvision:{name}" for name in names))
    for name in (
        *(f"transformers {kind}" for kind in transformers_networks()),
        *(f"own {kind}" for kind in own_networks()),
    ):
        yield Family(name.partition(" ")[2], (name,))


def loaded(name: str, seed: int) -> es.Network:
    """A network by its family's name for it, with random weights."""
    library, _, kind = name.partition(" ")
    if not kind:
        return es.load_network(name, weights="random", seed=seed)
    by_kind, size = (transformers_networks(), 64) if library == "transformers" else (own_networks(), 32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = by_kind[kind]().eval()
    preprocessing = es.Preprocessing(size=(size, size), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), resize=size)
    weights = {"source": f"random (seed {seed})"}
    return es.Network(name, model, preprocessing, weights, layers=None, pool=None, entry=None, remarks=())


def smallest(family: Family) -> str:
    """The family's member with the fewest parameters; they are counted without being made."""
    if len(family.members) == 1:
        return family.members[0]
    counts: dict[str, int] = {}
    for name in family.members:
        with suppress(Exception), torch.device("meta"):  # a member that cannot be built so is not the one
            counts[name] = sum(
                parameter.numel() for parameter in es.load_network(name, weights="random").model.parameters()
            )
    return min(counts, key=lambda name: counts[name]) if counts else family.members[0]


def audited(family: str, name: str, *, seed: int = 0) -> Audited:
    """One network measured without a hint, and what came of it; whatever it raises becomes the row's error."""
    started = time.monotonic()
    facts: dict[str, Any] = {
        "parameters": 0, "pixels": "", "measured": 0, "maps": 0, "undefined": "", "left_out": "", "agreeing": 0,
        "error": "",
    }  # fmt: skip
    try:
        network = _of_moderate_size(loaded(name, seed))
        before = state_of(network.model)
        facts["parameters"] = sum(parameter.numel() for parameter in network.model.parameters())
        facts["pixels"] = " x ".join(map(str, network.preprocessing.size))
        images = photographs(network.preprocessing, seed)
        scores = _measured(network.model, images)
        undefined, broken = checked(scores)
        left_out = {one["layer"]: one["reason"] for one in scores.manifest["layers_left_out"]}
        facts["measured"] = len(scores.layers)
        facts["maps"] = int((scores.layers["height"] * scores.layers["width"] > 1).sum())
        facts["undefined"] = _lines(undefined)
        facts["left_out"] = _lines(left_out)
        if not facts["maps"]:
            broken = ["no layer before pooling is measured", *broken]
        broken += changed_state(before, state_of(network.model))
        facts["agreeing"], wrong = checked_maps(network.model, images)
        broken += wrong
        facts["error"] = "; ".join(broken)
    except Exception as error:  # noqa: BLE001 -- one network's crash is a row, and the next one's turn
        facts["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Audited(family=family, model=name, seconds=round(time.monotonic() - started, 1), **facts)


def _measured(model: nn.Module, images: Tensor) -> es.Scores:
    """The scores of a network in its default layers."""
    channels, height, width = images.shape[1:]
    wide = max(layer.channels for layer in es.find_layers(model, (channels, height, width)).measured)
    measures = ("invariance", "equivariance") if wide > SETTINGS.widest else None

    def within(memory: float) -> es.Scores:
        return es.measure(
            model,
            images,
            transformations(),
            scoring=es.Scoring(measures=measures, scopes=SCOPES, intervals=False),
            run=es.Run(memory=memory),
            batch_size=SETTINGS.batch_size,
            progress=False,
        )

    try:
        return within(SETTINGS.memory)
    except ValueError as error:
        if "is too little: the accumulators" not in str(error):
            raise
        return within(SETTINGS.most_memory)


def audit(
    output: Path, *, limit: int | None = None, seed: int = 0, progress: bool = False, force: bool = False
) -> Path:
    """The folder that says which families of networks are measured with no hint, and what stops the others.

    `limit`: only the first so many families. The output holds `audit.parquet`, a row a family, and `page.md`.
    FileExistsError where it is not empty, unless `force`. Rows are kept beside it, in a file of its name with
    `.rows.jsonl`, until all are there: an audit that was stopped goes on where it was.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit} leaves no family; give at least 1.")
    refuse_taken(output, force=force)
    chosen = list(islice(families(), limit))
    started = datetime.now(UTC)
    console = Console(stderr=True)
    hidden = not (progress and (console.is_terminal or console.is_jupyter))
    kept = output.with_name(f"{output.name}.rows.jsonl")
    before = _kept_rows(kept, seed)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about networks that nobody chose
        for family in track(chosen, "families", console=console, transient=True, disable=hidden):
            if family.members not in before:
                before[family.members] = audited(family.name, smallest(family), seed=seed)
                _keep_row(kept, seed, family, before[family.members])
            rows.append(before[family.members])
    table = pd.DataFrame(map(asdict, rows))
    text = page(table, date=started.date().isoformat(), limit=limit, seed=seed)
    with written(output, force=force) as aside:
        table.to_parquet(aside / "audit.parquet")
        (aside / "page.md").write_bytes(in_utf8(text))
    kept.unlink(missing_ok=True)
    return output


def _keep_row(file: Path, seed: int, family: Family, row: Audited) -> None:
    """Add a family's row to those of an audit that is not complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        of = {"seed": seed, "versions": _versions(), "members": family.members}
        lines.write("\n" + json.dumps(of | {"row": asdict(row)}))  # on a line of its own, also after half a line


def _kept_rows(file: Path, seed: int) -> dict[tuple[str, ...], Audited]:
    """The rows of an audit that is not complete, by the members of their families: of this seed and these versions."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        with suppress(ValueError):  # of a line that was being written
            one = json.loads(line)
            if (one["seed"], one["versions"]) == (seed, _versions()):
                found[tuple(one["members"])] = Audited(**one["row"])
    return found


def page(table: pd.DataFrame, *, date: str, limit: int | None, seed: int) -> str:
    """What the table says, in words."""
    failed = table[table["error"] != ""]
    share = 1 - len(failed) / len(table)
    verdict = "reached" if share >= GOAL else "missed"
    rows = [
        (one["family"], one["model"], one["pixels"], f"{one['measured']}", f"{one['maps']}", f"{one['agreeing']}",
         f"{len(one['left_out'].splitlines())}", f"{one['seconds']:.0f}", one["error"])
        for one in table.to_dict("records")
    ]  # fmt: skip
    header = ("family", "model", "input", "measured", "of them maps", "timm's own", "left out", "seconds", "error")
    limited = "" if limit is None else f" --limit {limit}"
    sections = [
        "# Audit: does it just work on any network?",
        f"{len(table) - len(failed)} of {len(table)} families are measured with no hint and no error "
        f"({share:.0%}; the goal, {GOAL:.0%}, is {verdict}). Of each family the member with the fewest parameters, "
        f"with random weights, sees {SETTINGS.images} photographs under the identity, a shift of {SETTINGS.shift} "
        f"pixels along the diagonal, and {SETTINGS.rotation}, in its default layers. Its images have the size that it "
        f"declares; where that is above {SETTINGS.large} pixels and the network takes fewer, {SETTINGS.moderate}. Of "
        f"networks with layers of more than {SETTINGS.widest:,} channels linear is not measured. "
        "A family is a file of timm or of torchvision, a kind of image classifier of transformers, or a network as "
        "people write it. Random weights say nothing of learned equivariance, and no score is printed here.",
        "Every score is checked: between 0 and 1, or undefined for a reason that follows from the layer's size or its "
        f"constant channels; under the identity 1 within {EXACT:g} on every defined channel; equivariance no less than "
        "invariance, and linear no less than equivariance. Every map is checked, too: where timm tells a network's "
        "intermediate maps, one of ours with the same values has them at the same positions "
        f"({table['agreeing'].sum()} maps, the column *timm's own*); where a patch of the image is changed, maps "
        "change there, as far as that can be told; and parameters, buffers, attributes, modes, hooks and the random "
        "state are as they were. What breaks this counts as an error.",
        "## Families",
        markdown(header, rows),
        "## Layers left out",
        "\n".join(_by_reason(table, "left_out")) or "None.",
        "## Layers without a score in some row",
        "A vector has none within one image, by definition; it is not listed.\n\n"
        + ("\n".join(_by_reason(table, "undefined")) or "None."),
        "## How this was made",
        f"- command: `equiscope audit{limited} --seed {seed} --output OUTPUT`\n- date: {date}\n"
        f"- seconds: {table['seconds'].sum():.0f}, without finding the smallest members\n- versions: {_versions()}",
    ]
    return "\n\n".join(sections) + "\n"


def _by_reason(table: pd.DataFrame, column: str) -> Iterator[str]:
    """A line a network: its layers that share a reason, the first of them named."""
    for one in table[table[column] != ""].to_dict("records"):
        layers: dict[str, list[str]] = {}
        for line in one[column].splitlines():
            layer, _, reason = line.partition(": ")
            without_itself = reason.replace(layer.partition("[")[0], "it")
            layers.setdefault(without_itself, []).append(layer)
        reasons = "; ".join(
            f"`{names[0]}`{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
            for reason, names in layers.items()
        )
        yield f"- {one['model']}: {reasons}"


def _versions() -> str:
    names = ("equiscope", "torch", "timm", "torchvision", "transformers", "e2cnn", "escnn", "numpy")
    there = [name for name in names if find_spec(name) is not None]
    return ", ".join(f"{name} {version(name)}" for name in there) + f", python {platform.python_version()}"


def _of_moderate_size(network: es.Network) -> es.Network:
    """The network for images that two CPU cores can afford, where it takes these."""
    if max(network.preprocessing.size) <= SETTINGS.large:
        return network
    pixels = (SETTINGS.moderate, SETTINGS.moderate)
    try:
        es.find_layers(network.model, (len(network.preprocessing.mean), *pixels))
    except ValueError:
        return network
    return replace(network, preprocessing=replace(network.preprocessing, size=pixels))


def photographs(preprocessing: es.Preprocessing, seed: int) -> Float[Tensor, "image channel height width"]:
    """Crops of the packaged photographs; smooth noise where these packages are not installed."""
    try:
        return torch.cat(list(es.open_images("photographs", preprocessing, limit=SETTINGS.images, seed=seed)))
    except ValueError:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.randn(SETTINGS.images, len(preprocessing.mean), 16, 16, generator=generator)
        return interpolate(coarse, size=preprocessing.size, mode="bicubic")


def checked(scores: es.Scores) -> tuple[dict[str, str], list[str]]:
    """Why layers have no score, by layer; and all that a score may not be, in words."""
    layers: dict[Any, Any] = scores.layers.set_index("layer", drop=False).to_dict("index")
    undefined: dict[str, list[str]] = {}
    broken: list[str] = []
    row: dict[Any, Any]
    for row in scores.scores.to_dict("records"):
        where = f"{row['measure']} of {row['layer']} under {row['transformation']} ({row['scope']})"
        if row["score"] != row["score"]:
            reason = _why_undefined(row, layers[row["layer"]])
            if reason is None:
                broken.append(f"{where} is NaN for no reason")
            elif reason != VECTOR and reason not in undefined.setdefault(row["layer"], []):
                undefined[row["layer"]].append(reason)
        elif not 0 <= row["score"] <= 1 + EXACT:
            broken.append(f"{where} is {row['score']}")
    broken += [*_broken_channels(scores.channels), *_broken_ladder(scores.scores)]
    return {layer: " and ".join(reasons) for layer, reasons in undefined.items()}, broken


def _broken_channels(channels: pd.DataFrame) -> Iterator[str]:
    """Channels beyond 0 and 1, or below 1 under the identity."""
    for measure in LADDER:
        outside = channels[(channels[measure] < 0) | (channels[measure] > 1 + EXACT)]
        same = channels[(channels["transformation"] == "identity") & ((channels[measure] - 1).abs() > EXACT)]
        for what, rows in ((f"{measure} beyond 0 and 1", outside), (f"{measure} under the identity", same)):
            if len(rows):
                worst = rows.iloc[int((rows[measure] - 1).abs().argmax())]
                yield f"{what}: {len(rows)} channels, of {worst['layer']} {worst[measure]:.9f}"


def _broken_ladder(table: pd.DataFrame) -> Iterator[str]:
    """Scores below those of a measure that is contained."""
    wide = table.pivot(index=["layer", "transformation", "scope"], columns="measure", values="score")
    for lower, higher in pairwise(measure for measure in LADDER if measure in wide):
        for row in wide[wide[higher] < wide[lower] - EXACT].reset_index().to_dict("records"):
            where = f"of {row['layer']} under {row['transformation']} ({row['scope']})"
            yield f"{higher} {where} is {row[higher]}, below its {lower}, {row[lower]}"


def _why_undefined(row: dict[Any, Any], layer: dict[Any, Any]) -> str | None:
    """The reason why a row has no score; None where there is none."""
    if layer["dead"] == layer["channels"]:
        return "every channel is constant"
    positions = _fewest_positions(row, layer)
    if row["scope"] == "dataset":
        few = positions * SETTINGS.images < LEAST_SAMPLES
        return f"fewer than {LEAST_SAMPLES} positions stay in sight of a shift in all images" if few else None
    if layer["height"] * layer["width"] == 1:
        return VECTOR
    if positions < LEAST_POSITIONS:
        return f"fewer than {LEAST_POSITIONS} positions within an image"
    all_undefined = row["undefined"] == layer["channels"] * SETTINGS.images
    return "every channel is constant within every image" if all_undefined else None


def _fewest_positions(row: dict[Any, Any], layer: dict[Any, Any]) -> int:
    """How many positions are valid within an image."""
    lost = 0 if row["transformation"] in ("identity", SETTINGS.rotation) else SETTINGS.shift
    strides = (layer["stride_y"], layer["stride_x"])
    steps = (0, 0) if pd.isna(strides[0]) else [math.ceil(round(lost / stride, 9)) for stride in strides]
    return int((layer["height"] - steps[0]) * (layer["width"] - steps[1]))


def transformations() -> list[es.Family | es.Transformation]:
    """The identity, one shift and one rotation."""
    rotation = next(one for one in es.rotations().transformations if one.name == SETTINGS.rotation)
    return [es.identity(), es.shift(SETTINGS.shift, SETTINGS.shift), rotation]


def _lines(reasons: dict[str, str]) -> str:
    """A line a layer."""
    return "\n".join(f"{layer}: {reason}" for layer, reason in reasons.items())
