"""A scene on the cells of the grid: what covers each cell, and attributes of the whole objects there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stamp.training.learning.nano import CELL_PX
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.scenes import Scene

#: Attributes of a cell: the offset to the centre of its object, and the object's size.
OFFSET_X, OFFSET_Y, AREA = range(N_ATTRIBUTES := 3)
#: The first attributes; adding the cell's own place makes them a place in the picture.
N_PLACE = 2
#: The logarithms of area shares of the image that count as -1 and as 1.
SMALL_LOG_AREA, LARGE_LOG_AREA = np.log(0.025), np.log(0.4)


@dataclass(frozen=True)
class Grid:
    """A scene's cells. objects: (P, 1 + objects) coverage; nouns, parts: (P, 1 + nouns); attributes: (P, N_ATTRIBUTES).

    Column 0 of objects and nouns is the background. parts: the share of an object of the noun in a cell; over all
    cells they add up to the number of such objects. Attributes are those of a cell's objects, weighted by coverage: the
    offset from the cell's centre to the object's (rotary positions are relative), and the object's area.
    """

    scene: Scene
    objects: np.ndarray
    nouns: np.ndarray
    parts: np.ndarray
    attributes: np.ndarray

    @staticmethod
    def of(scene: Scene, lexicon: Lexicon) -> "Grid":
        """The cells of a scene."""
        objects = object_coverage(scene)
        shares = objects / objects.sum(0).clip(min=1e-9)
        attributes = objects @ object_attributes(scene)
        covered = 1 - objects[:, :1]
        attributes[:, :N_PLACE] -= covered * cell_places(*grid_of(scene))
        return Grid(scene, objects, by_noun(scene, objects, lexicon), by_noun(scene, shares, lexicon), attributes)

    @property
    def weights(self) -> np.ndarray:
        """(P,) float32, 0..1: how much to trust the coverage of each cell."""
        trusted: np.ndarray = 1 - (1 - np.float32(self.scene.background_weight)) * self.objects[:, 0]
        return trusted

    def cover(self, mask_ids: Sequence[int]) -> np.ndarray:
        """(P,) coverage by the union of some objects."""
        covered: np.ndarray = self.objects[:, list(mask_ids)].sum(1)
        return covered


def grid_of(scene: Scene) -> tuple[int, int]:
    """(rows, columns) of a scene's cells."""
    height, width = scene.labels.shape
    return height // CELL_PX, width // CELL_PX


def cell_places(rows: int, columns: int) -> np.ndarray:
    """(P, 2) float32: centre (x, y) of each cell, from -1 (left, top) to 1 (right, bottom), row by row."""
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32) * 2 - 1


def object_coverage(scene: Scene) -> np.ndarray:
    """(P, 1 + objects) float32: share of each 16 px cell covered by the background (0) or by object k (k)."""
    height, width = scene.labels.shape
    blocks = scene.labels.reshape(height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)
    cells = blocks.transpose(0, 2, 1, 3).reshape(-1, CELL_PX * CELL_PX)
    return np.stack([(cells == k).mean(1) for k in range(len(scene.objects) + 1)], axis=1).astype(np.float32)


def by_noun(scene: Scene, cells: np.ndarray, lexicon: Lexicon) -> np.ndarray:
    """Sum objects into nouns: (P, 1 + objects) -> (P, 1 + nouns) float32; column 0 stays."""
    nouns = np.zeros((cells.shape[0], len(lexicon.nouns) + 1), np.float32)
    nouns[:, 0] = cells[:, 0]
    for item in scene.objects:
        nouns[:, lexicon.numbers[item.noun]] += cells[:, item.mask_id]
    return nouns


def object_attributes(scene: Scene) -> np.ndarray:
    """(1 + objects, N_ATTRIBUTES) float32 of whole objects; row 0, the background, is zero.

    Box centre from -1 (left, top) to 1 (right, bottom); log of the visible area from -1 to 1.
    """
    height, width = scene.labels.shape
    rows = np.zeros((len(scene.objects) + 1, N_ATTRIBUTES), np.float32)
    for item in scene.objects:
        x1, y1, x2, y2 = item.box_xyxy
        log_area = np.log(item.area_px / (width * height))
        rows[item.mask_id, OFFSET_X] = (x1 + x2) / width - 1
        rows[item.mask_id, OFFSET_Y] = (y1 + y2) / height - 1
        rows[item.mask_id, AREA] = 2 * (log_area - SMALL_LOG_AREA) / (LARGE_LOG_AREA - SMALL_LOG_AREA) - 1
    return rows
