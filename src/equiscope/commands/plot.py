"""`equiscope plot`: a result, or several, as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from inspect import signature
from pathlib import Path
from typing import Any

import typer

from equiscope.commands.flattened import option
from equiscope.commands.options import SCOPE, Folders
from equiscope.results.columns import ALIGNMENTS, MEASURES, SCOPES
from equiscope.system.errors import known
from equiscope.system.files import refuse_place

KINDS = ("explained", "alone", "layers", "parts", "transformations", "channels", "comparison")
VALUES = ("score", "explained", "in_sample")


@dataclass(frozen=True)
class DrawnOptions:
    """What is drawn. And how."""

    kind: str | None = option(
        None,
        "explained (what stays, swaps, mixes and is lost), alone (each layer by itself), layers, parts, "
        "transformations, channels, or comparison, which takes several folders.",
        metavar="NAME",
        choices=KINDS,
        shown="explained; with --scope, --measure or --value, layers",
    )
    scope: str | None = option(
        None,
        SCOPE,
        metavar="NAME",
        choices=SCOPES,
        shown="dataset",
        either=True,
    )
    transformation: str | None = option(
        None,
        "One transformation or family that was measured, such as rotations, rot90 or shift(1,1).",
        metavar="NAME",
        shown="every family",
        either=True,
    )
    measure: str | None = option(
        None,
        f"One measure: {', '.join(MEASURES)}.",
        metavar="NAME",
        choices=MEASURES,
        shown="all that were measured",
        either=True,
    )
    value: str | None = option(
        None,
        "score; the share of variance that is explained; or in_sample, the score before cross-fitting.",
        metavar="NAME",
        choices=VALUES,
        shown="score",
    )
    alignment: str | None = option(
        None,
        "Layers rotated about the centre of their array (array), or about their own (registered).",
        metavar="NAME",
        choices=ALIGNMENTS,
        shown="array",
    )
    layers: Sequence[str] | None = option(
        None,
        "Of transformations: only this layer.",
        metavar="LAYER",
        shown="the parts; with --heatmap all layers",
    )
    heatmap: bool = option(False, "Of transformations: layers against transformations, in colour.")
    by: str | None = option(
        None,
        "Of comparison: by part of the network, or by depth, layer by layer.",
        metavar="NAME",
        words=("part", "depth"),
        shown="part",
    )
    no_caption: bool = option(False, "Without title and small print, as for a paper.")

    @property
    def figure(self) -> str:
        """The kind of figure that is drawn."""
        return self.kind or ("layers" if self.scope or self.measure or self.value else "explained")

    def arguments(self) -> dict[str, Any]:
        """What the function that draws this kind is given. ValueError where an option is for other kinds."""
        from equiscope.figures.kinds import KINDS as functions

        known("kind", self.figure, functions)
        taken = {kind: signature(function).parameters for kind, function in functions.items()}
        found: dict[str, Any] = {"caption": not self.no_caption}
        for name in (one.name for one in fields(self) if one.name not in ("kind", "no_caption")):
            if given := getattr(self, name):
                if name not in taken[self.figure]:
                    kinds = ", ".join(kind for kind in functions if name in taken[kind])
                    raise ValueError(f"--{name} is for --kind {kinds}, not for {self.figure}.")
                found[name] = given
        return found


@dataclass(frozen=True)
class FileOptions:
    """The result. The files of a figure."""

    output: Path | None = option(
        None,
        "The file to write, .pdf or .png; without either, both.",
        metavar="FILE",
        shown="DIR/KIND, of several out/comparison",
    )
    force: bool = option(False, "Replace a file that is there.")


def plot(folders: Folders, drawn: DrawnOptions, file: FileOptions) -> None:
    r"""Draw a result, or several side by side, as PDF and PNG.

    What stays, swaps, mixes and is lost by layer; scores by layer, by part or
    by transformation (over pixels or degrees, or as a heat map); the
    distribution of channels; or several results compared. Fonts are
    embedded, widths are those of one or two columns of a paper, and the same
    result gives the same bytes.

    [bold]Examples[/bold]

        equiscope plot out/efficientnet-lite0
        equiscope plot out/efficientnet-lite0 --kind transformations \
            --measure equivariance --value explained --output figure2.pdf
        equiscope plot out/cifar-resnet20 out/cifar-resnet44 \
            --kind comparison --by depth
    """
    from equiscope.figures.kinds import KINDS as functions
    from equiscope.figures.style import files_for
    from equiscope.results.comparison import loaded
    from equiscope.results.folder import load

    arguments = drawn.arguments()
    kind, several = drawn.figure, drawn.figure == "comparison"
    if not several and len(folders) > 1:
        raise ValueError(f"--kind {kind} draws one folder, and {len(folders)} are given; give --kind comparison.")
    path = file.output or (Path("out", kind) if several else folders[0] / kind)
    for one in files_for(path):
        if one.exists() and not file.force:
            raise FileExistsError(f"{one} exists; give another --output, or --force to replace it.")
        refuse_place(one)
    results = loaded(folders) if several else load(folders[0])
    for written in functions[kind](results, **arguments).save(path):
        typer.echo(written)
