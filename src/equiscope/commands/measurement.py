"""A measurement that the command line asks for: network and images loaded, scores measured, drawn and written."""

import glob
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from torch.distributed import is_initialized

import equiscope as es
from equiscope.commands.arguments import families_of, values_of
from equiscope.commands.terminal import note, noted
from equiscope.functional.transformations import spans
from equiscope.images.sources import open_images
from equiscope.measurement.options import LONG
from equiscope.measurement.plan import fingerprint_of
from equiscope.networks.identity import Answer, structure_digest
from equiscope.networks.loading import load_network
from equiscope.networks.weights import weights_digest
from equiscope.results.folder import MAPS, is_result, write
from equiscope.system.output_folder import TakenError
from equiscope.system.processes import Processes

if TYPE_CHECKING:
    from equiscope.commands.measure import Request
    from equiscope.measurement.estimation import Estimate
    from equiscope.results.scores import Scores

MOST_NAMED = 5  # reasons why layers are left out that are named on the terminal; the manifest names all


class Measurement:
    """What was asked for, ready to be measured: the network and the images are loaded and checked."""

    def __init__(self, request: "Request", device: str | None) -> None:
        self.request, self.folder, self.device = request, request.folder.resolve(), device
        self.written_to = request.folder
        moved, seed, network = request.transformations, request.machine.seed, request.network
        families = families_of(moved.transformations)
        mean, std = values_of("--mean", network.mean), values_of("--std", network.std)
        loaded = partial(load_network, request.model, size=network.size, mean=mean, std=std, seed=seed)
        self.network = loaded(weights=network.weights)
        if moved.baseline and self.network.random:
            raise ValueError("--baseline beside --weights random measures one network twice; leave one of them out.")
        self.baseline = loaded(weights="random") if moved.baseline else None
        preprocessing, self.window = self.network.preprocessing, None
        if moved.fill == "crop":
            self.window, preprocessing = preprocessing.size, preprocessing.larger_by(*spans(families))
        self.source = open_images(
            request.images.images, preprocessing, column=request.images.column, limit=request.images.limit, seed=seed,
            workers=request.machine.workers,
        )  # fmt: skip
        self.families = families_of(moved.transformations, fill=moved.fill, size=self.window, subpixel=moved.subpixel)
        self.layers = replace(request.layers, pool=self.network.pool, default=self.network.layers)
        self._scoring = replace(request.scoring, seed=seed)

    @property
    def _checkpoint(self) -> Path:
        """Where the running state is saved: beside the result."""
        return self.folder.parent / f"{self.folder.name}.checkpoint"

    @property
    def _saved(self) -> list[Path]:
        """The running states of all processes."""
        return sorted(self.folder.parent.glob(f"{glob.escape(self._checkpoint.name)}*"))

    def estimate(self) -> "Estimate":
        """The layers that would be measured, and the memory and time that it would take."""
        note([*self.network.remarks, *self.source.choices])
        run = replace(self.request.run, checkpoint=None, resume=False)
        with noted(quiet=False):
            return es.estimate(self.network, self.source, self.families, run=run, **self._options)

    def scores(self) -> "Scores | None":
        """The scores, written; None where they were there already, or where another process writes them."""
        processes = Processes.here() if is_initialized() else Processes()
        first = processes.rank == 0
        # The first process decides for all: others may not see its disk, or see it late.
        if processes.told_by(0, self.request.run.resume and is_result(self.folder)):
            if first:
                self._check_done()
            self._remove_saved()  # which a kill after the writing may have left
            return None
        with self._resumable():
            scores = self._measured(quiet=self.request.result.quiet or not first)
            if first:
                self._write(scores)
            processes.told_by(0, None)  # when the scores are written
        self._remove_saved()
        return scores if first else None

    def _measured(self, *, quiet: bool) -> "Scores":
        """The scores, with all in their manifest that it takes to make them again."""
        note([] if quiet else [*self.network.remarks, *self.source.choices])
        distributed = is_initialized()
        asked = self.request.run.resume or self.request.run.checkpoint_every is not None
        run = replace(
            self.request.run, checkpoint=self._checkpoint, checkpoint_if_longer=0 if asked else LONG,
            keep_checkpoint=True, distributed=distributed,
        )  # fmt: skip
        with noted(quiet) as remarks:
            scores = es.measure(
                self.network, self.source, self.families, run=run, baseline=self.baseline,
                maps=self.request.result.maps, batch_size=self.request.machine.batch_size,
                progress=not quiet, **self._options,
            )  # fmt: skip
        own = [one for one in scores.manifest.get("remarks", []) if one not in remarks]
        after = [one for one in own if one not in self.source.choices]
        note([] if quiet else [*_layers_left_out(scores.manifest), *after])
        scores = replace(scores, manifest=self._manifest(scores.manifest, [*self.network.remarks, *remarks, *own]))
        if (baseline := scores.baseline) is not None:
            manifest = self._manifest(baseline.manifest, baseline.manifest.get("remarks", []))
            named = {name: baseline.manifest[name] for name in ("model", "weights")}
            scores = replace(scores, baseline=replace(baseline, manifest=manifest | named))
        return scores

    @property
    def _options(self) -> dict[str, Any]:
        """What measuring and estimating are given alike."""
        return {"layers": self.layers, "scoring": self._scoring, "device": self.device}

    def _manifest(self, measured: dict[str, Any], remarks: list[str]) -> dict[str, Any]:
        """The manifest of a measurement, with what the command line adds first."""
        data = dict(self.source.description)
        preprocessing = data.pop("preprocessing")
        network = self.network
        added = {
            "model": self.request.run.name or network.name,
            "weights": measured["weights"] | network.weights,
            "command": shlex.join(["equiscope", *sys.argv[1:]]),
            "data": measured["data"] | data,
            "preprocessing": preprocessing,
            "remarks": remarks,
            "options": measured["options"] | self._asked(),
        }
        return added | measured | added | {"recipe": self._recipe(measured["data"])}

    def _asked(self) -> dict[str, Any]:
        """The options that the library does not know."""
        request = self.request
        found = asdict(request.network) | asdict(request.images) | asdict(request.result)
        found["workers"] = request.machine.workers
        if self.window is not None:
            found["size"] = self.window
        return found

    def recipe_now(self) -> str:
        """The fingerprint of what would be measured now; no image is decoded for it."""
        return self._recipe(self.source.contents_now().fingerprints())

    def _recipe(self, images: Mapping[str, Any]) -> str:
        """A fingerprint of all that the scores depend on, by its content; of images, their fingerprints."""
        model, request = self.network.model, self.request
        options: list[Any] = [request.transformations, self.layers, self._scoring]
        return fingerprint_of(
            {"precision": request.run.precision, "preprocessing": self.source.description["preprocessing"]},
            weights_digest(model), structure_digest(model), images["fingerprint_in_order"], *map(asdict, options),
        )  # fmt: skip

    def _answers_as(self, before: Answer | None) -> bool:
        """Whether the network answers as one did before; also where that is not known."""
        preprocessing = self.network.preprocessing
        shape = (len(preprocessing.mean), *preprocessing.size)
        return before is None or before.agrees(Answer.of(self.network.model, shape))

    def _check_done(self) -> None:
        """Say that the folder's result is done. ValueError where it is of another recipe."""
        manifest = es.load(self.folder).manifest
        same = manifest.get("recipe") == self.recipe_now()
        if not (same and self._answers_as(Answer.recorded(manifest.get("answer")))):
            raise ValueError(
                f"{self.folder} holds a result of another network, or of other options, weights or data; give another "
                "--output, or --force without --resume to replace it."
            )
        note([f"{self.folder} is done."])
        if self.request.result.maps and not (self.folder / MAPS).exists():
            note(["It was made without maps; for them measure again, with --force in place of --resume."])

    def _write(self, scores: "Scores") -> None:
        """The folder of the result, its figure and its report."""
        from equiscope.figures import kinds  # matplotlib, which measuring does not need

        def drawn(aside: Path) -> None:
            kinds.headline(scores).save(aside / "figure")
            es.report(scores, aside / "report.html")

        force = self.request.result.force
        try:
            write(scores, self.folder, force=force, drawn=drawn)
        except TakenError:  # by what did not tell that it would
            self._write_beside(partial(write, scores, drawn=drawn))

    def _write_beside(self, write_to: Callable[[Path], None]) -> None:
        """The folder of the result under the first name that is free, for there is something in its own by now."""
        for number in count(2):
            beside = self.written_to.with_name(f"{self.folder.name}-{number}")
            with suppress(TakenError):
                write_to(beside)
                note([f"{self.written_to} was taken meanwhile, so the result is in {beside}."])
                self.written_to = beside
                return

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """A Ctrl-C names the checkpoint, where there is one."""
        try:
            yield
        except KeyboardInterrupt:
            if not self._saved:
                raise
            raise typer.Abort(
                f"interrupted, and no result was written; the same command with --resume goes on from {self._saved[0]}."
            ) from None

    def _remove_saved(self) -> None:
        for file in self._saved:
            file.unlink(missing_ok=True)


def _layers_left_out(manifest: Mapping[str, Any]) -> list[str]:
    """One sentence that counts the layers left out and names the first; none where none was."""
    left_out = manifest["layers_left_out"]
    if not left_out:
        return []
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one["reason"], []).append(one["layer"])
    named = "; ".join(
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} ({reason})"
        for reason, names in list(by_reason.items())[:MOST_NAMED]
    )
    others = len(by_reason) - MOST_NAMED
    more = f"; and for {others} more reasons, which manifest.json names" if others > 0 else ""
    count = "1 layer is" if len(left_out) == 1 else f"{len(left_out)} layers are"
    return [f"{count} left out: {named}{more}."]
