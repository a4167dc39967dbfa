"""Where a network loses its equivariance, if its layers were measured alone: a figure, and a table that ranks them."""

from html import escape

from equiscope.figures.alone import plot_alone
from equiscope.page.tables import figure_of, interval_of, number_of, row_of
from equiscope.page.words import counted
from equiscope.results.columns import ALONE
from equiscope.results.scores import Scores

COLUMNS = ("loses", "95 % interval", "explained alone", "from the image")


def losses_section(scores: Scores) -> str:
    """What each layer loses by itself, by family, the layer that loses most first; empty where none was measured."""
    if not set(ALONE) & set(scores.scores["measure"]):
        return ""
    found = scores.losses()
    drawn = figure_of(
        plot_alone(scores),
        f"The share of variance explained of each of {counted(len(scores.layers), 'layer')} in order of execution, "
        "from the image on and of the layer alone. The numbers are in the table below.",
    )
    rows = [
        row_of(
            row["layer"],
            [number_of(row["loses"]), interval_of(row["loses_low"], row["loses_high"]),
             *(number_of(row[name]) for name in ("alone", "explained"))],
            [row["part"], row["transformation"], row["measure"]],
        )
        for row in found.to_dict("records")
    ]  # fmt: skip
    heads = "".join(f'<th scope="col" class="name">{name}</th>' for name in ("layer", "part", "under", "by"))
    heads += "".join(f'<th scope="col">{escape(name)}</th>' for name in COLUMNS)
    return f"""<p>Each layer’s module was called again on its own input, transformed: <em>explained alone</em> is the
share of variance that is explained then, and what is lacking the layer loses by itself. What earlier layers have lost
counts in <em>from the image</em> only. The layer that loses most stands first.</p>
{drawn}
<div class="box tall" role="region" tabindex="0" aria-label="what each layer loses by itself">
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table>
</div>"""
