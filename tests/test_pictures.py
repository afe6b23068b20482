"""Pictures: their sizes, their colours, and files that are whole."""

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from gan_lab import pictures


def test_a_grid_is_near_square_and_wide_enough_to_look_at():
    sheet = pictures.grid(torch.zeros(60, 1, 16, 16))
    assert sheet.dtype == np.uint8
    assert sheet.shape == (8 * 66 + 2, 8 * 66 + 2, 3)  # 8 rows, the last not full; 16 pixels enlarged four times


def test_a_grid_of_large_images_is_not_enlarged():
    assert pictures.grid(torch.zeros(6, 3, 256, 192), columns=3).shape == (2 * 258 + 2, 3 * 194 + 2, 3)


def test_the_ends_of_the_range_become_black_and_white():
    images = torch.stack((torch.full((3, 8, 8), -1.0), torch.full((3, 8, 8), 3.0)))
    sheet = pictures.grid(images, columns=2, padding=0)
    assert sheet[0, 0].tolist() == [0, 0, 0]
    assert sheet[0, -1].tolist() == [255, 255, 255]


def test_a_grid_keeps_colours_and_order():
    images = torch.full((2, 3, 4, 4), -1.0)
    images[0, 0], images[1, 2] = 1, 1
    sheet = pictures.grid(images, columns=1, padding=0)
    assert sheet[0, 0].tolist() == [255, 0, 0]
    assert sheet[-1, 0].tolist() == [0, 0, 255]


def scatter(points, shade=None):
    return pictures.scatter([pictures.Dots("some", points, pictures.GREEN, size=3, opacity=0.5)], 2, shade)


def test_scatter_draws_a_point_where_it_lies():
    empty, drawn = scatter(torch.empty(0, 2)), scatter(torch.tensor([[1.0, 1.0]]).expand(50, 2))
    assert drawn.shape == (512, 512, 3) and drawn.dtype == np.uint8
    rows, columns = np.nonzero((empty != drawn).any(axis=2))
    inner = 512 - 2 * pictures.MARGIN
    assert np.isclose(columns.mean(), pictures.MARGIN + 0.75 * inner, atol=1)
    assert np.isclose(rows.mean(), pictures.MARGIN + 0.25 * inner, atol=1)  # upwards


def test_scatter_tints_what_the_critic_takes_for_real():
    height = torch.linspace(-1, 1, 32)[:, None].expand(32, 32)  # the score rises with y
    picture = scatter(torch.empty(0, 2), height).astype(int)
    top, bottom = picture[60, 256], picture[-60, 256]
    assert top[0] > top[2] and bottom[2] > bottom[0]  # orange above, blue below


def test_scatter_leaves_out_points_that_are_not_finite():
    assert (scatter(torch.tensor([[torch.nan, 0.0], [torch.inf, 1.0]])) == scatter(torch.empty(0, 2))).all()


def test_curves_draw_each_line_in_its_colour():
    line = torch.linspace(0, 1, 50)
    lines = [pictures.Line("one", line, "#ff0000"), pictures.Line("two", line / 2, "#0000ff", on_right=True)]
    pixels = pictures.curves(line, lines, 1)
    assert pixels.shape == (400, 640, 3)
    for colour in ([255, 0, 0], [0, 0, 255]):
        assert (pixels == colour).all(axis=2).any()


def test_a_plot_is_the_same_whatever_styles_were_chosen_elsewhere():
    before = scatter(torch.zeros(3, 2))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": True}):
        assert (scatter(torch.zeros(3, 2)) == before).all()
        assert matplotlib.rcParams["font.size"] == 30


def test_a_png_holds_what_was_drawn_and_leaves_no_temporary_file(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pictures.save_png(array, tmp_path / "a.png")
    assert (np.asarray(Image.open(tmp_path / "a.png")) == array).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    pictures.save_png(np.zeros((4, 4, 3), np.uint8), tmp_path / "a.png")

    def fail(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        pictures.save_png(np.ones((4, 4, 3), np.uint8), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert not np.asarray(Image.open(tmp_path / "a.png")).any()


def test_a_gif_plays_arrays_and_files_in_order_and_holds_the_last(tmp_path):
    frames = [np.full((8, 8, 3), level, np.uint8) for level in (0, 100, 250)]
    pictures.save_png(frames[1], tmp_path / "1.png")
    pictures.save_gif([frames[0], tmp_path / "1.png", frames[2]], tmp_path / "a.gif", seconds_per_frame=0.1)
    with Image.open(tmp_path / "a.gif") as gif:
        played = [
            (np.asarray(frame.convert("RGB")).mean(), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)
        ]
    levels, durations = zip(*played, strict=True)
    assert np.allclose(levels, (0, 100, 250), atol=3)
    assert durations == (100, 100, 2000)


def test_a_narrow_table_is_enlarged_by_its_longer_side():
    assert pictures.grid(torch.zeros(16, 1, 32, 32), columns=2).shape == (530, 134, 3)
    assert pictures.grid(torch.zeros(16, 1, 32, 32), columns=8).shape == (134, 530, 3)
