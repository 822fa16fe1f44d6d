"""The sections of a run on two archives: which figures there are, and that they are drawn the same twice.

Which there are is asked of sketches; `tests/report/test_page.py` draws them all as they are.
"""

import numpy as np

from subgrid.experiments.downscale.figures.sections import sections
from subgrid.report import figures, style
from subgrid.report.plates import embed

from ....tiny import sketched


def test_every_section_is_there_in_one_and_two_dimensions(evidence):
    with sketched():
        found = {section.name: len(section.plates) for section in sections(evidence)}
    assert found == {"coarse": 5, "fine": 6, "samples": 4, "reliability": 2}


def test_a_figure_is_drawn_to_the_same_bytes_twice(evidence):
    def source():
        with style.context():
            figure = style.tile(2.0)
            figures.energy_spectra(tuple(figure.subplots(2, 1)), evidence.fine_comparison())
            return embed(figure)[0]

    assert source() == source()


def test_evidence_without_a_part_leaves_its_figures_out(make_evidence):
    full = make_evidence((32,))
    empty = {name: getattr(full, name)[:0] for name in ("perfect_truth", "perfect_ensemble", "perfect_target")}
    partial = make_evidence((32,), **empty, rank_counts=np.zeros(0, int), loss_curve=np.zeros((2, 0)))
    with sketched():
        assert [section.name for section in sections(partial)] == ["coarse", "fine"]
