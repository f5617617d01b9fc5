"""Backgrounds of composed scenes: perspective crops of panoramas, and procedural patterns.

Both are made at low resolution and scaled up if nothing is lost (a 70 degree crop of a 512 px panorama holds about
100 px). Every function is a pure function of its random generator and arguments.
"""

import numpy as np
from PIL import Image, ImageDraw

CROP_SIDE_PX = 96
Colour = np.ndarray  # (3,) float32, 0..255


def panorama_crop(rng: np.random.Generator, panorama: np.ndarray, width: int, height: int) -> tuple[np.ndarray, float]:
    """A random perspective view that looks 8 to 20 degrees down with a field of view of 60 to 80 degrees.

    Args:
        panorama: (h, w, 3) uint8, equirectangular, horizon on the middle row.

    Returns:
        (height, width, 3) uint8, and the row of the horizon in pixels from the top.
    """
    pitch, half_fov = np.radians(rng.uniform(8, 20)), np.radians(rng.uniform(60, 80)) / 2
    yaw = rng.uniform(0, 2 * np.pi)
    focal = 0.5 / np.tan(half_fov)  # in units of the longer image side
    longer = max(width, height)
    rows = max(8, round(CROP_SIDE_PX * height / longer))
    columns = max(8, round(CROP_SIDE_PX * width / longer))
    right = ((np.arange(columns, dtype=np.float32) + 0.5) / columns - 0.5)[None, :] * (width / longer)
    down = ((np.arange(rows, dtype=np.float32) + 0.5) / rows - 0.5)[:, None] * (height / longer)
    forward = focal * np.cos(pitch) - down * np.sin(pitch)
    drop = focal * np.sin(pitch) + down * np.cos(pitch)
    longitude = np.arctan2(right, forward) + yaw
    latitude = np.arctan2(drop, np.hypot(right, forward))  # positive below the horizon
    crop = _sample_bilinear(panorama, latitude / np.pi + 0.5, longitude / (2 * np.pi))
    horizon = (0.5 - focal * np.tan(pitch) * longer / height) * height
    return _scale_up(crop, width, height, Image.Resampling.BICUBIC), float(horizon)


def photograph_crop(rng: np.random.Generator, photograph: np.ndarray, width: int, height: int) -> np.ndarray:
    """A random window of a photograph, a third to all of it wide: (h, w, 3) uint8 -> (height, width, 3) uint8."""
    rows, columns = photograph.shape[:2]
    wide = min(columns, rows * width / height) * rng.uniform(0.35, 1.0)
    tall = wide * height / width
    x, y = rng.uniform(0, columns - wide), rng.uniform(0, rows - tall)
    how = Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(photograph).resize((width, height), how, box=(x, y, x + wide, y + tall)))


def _sample_bilinear(panorama: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Samples (h, w, 3) at v in 0..1 downwards and u in full turns (wraps around). Returns (rows, columns, 3) uint8."""
    height, width = panorama.shape[:2]
    y = np.clip(v.astype(np.float32) * height - 0.5, 0, height - 1.01)
    x = np.mod(u.astype(np.float32) * width - 0.5, width)
    top, left = y.astype(np.int32), np.minimum(x.astype(np.int32), width - 1)
    down, right = (y - top)[..., None], (x - left)[..., None]
    beside = (left + 1) % width
    pixels, row = panorama.reshape(-1, 3), top * width
    upper = pixels.take(row + left, axis=0) * (1 - right) + pixels.take(row + beside, axis=0) * right
    row = row + width
    lower = pixels.take(row + left, axis=0) * (1 - right) + pixels.take(row + beside, axis=0) * right
    mixed: np.ndarray = (upper * (1 - down) + lower * down + 0.5).astype(np.uint8)
    return mixed


def vary(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The view in different light, often mirrored, often with the fine texture that a low-resolution panorama lacks.

    Args:
        image: (h, w, 3) uint8.

    Returns:
        (h, w, 3) uint8; rows, and so the horizon, stay in place.
    """
    if rng.random() < 0.5:
        image = image[:, ::-1]
    light = rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, 3)
    table = (np.arange(256)[:, None] * light).clip(0, 255).astype(np.uint8)
    image = np.stack([table[image[..., channel], channel] for channel in range(3)], axis=-1)
    return _with_texture(rng, image) if rng.random() < 0.6 else image


def _with_texture(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image with grey noise at two scales, like grass, gravel or plaster."""
    height, width = image.shape[:2]
    total = np.zeros((height, width), np.int16)
    for cell_px in (rng.uniform(1.5, 3), rng.uniform(4, 10)):
        cells = rng.integers(0, 256, (max(2, round(height / cell_px)), max(2, round(width / cell_px))), dtype=np.uint8)
        grain = _scale_up(cells, width, height, Image.Resampling.BICUBIC).astype(np.int16) - 128
        total += grain * int(rng.integers(1, 8)) // 64
    return (image + total[..., None]).clip(0, 255).astype(np.uint8)


def procedural_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8, often with a fine texture.

    Plain, gradient, noise, blobs, stripes, checks, a two-tone room, bricks, planks, dots or a heap of shapes.
    """
    kinds = (_plain, _gradient, _noise, _blobs, _stripes, _checks, _room, _bricks, _planks, _dots, _shapes)
    image = kinds[int(rng.integers(len(kinds)))](rng, width, height)
    return _with_texture(rng, image) if rng.random() < 0.5 else image


def _colour(rng: np.random.Generator) -> Colour:
    """A random colour, more often pale or muted than strong, as in real backgrounds."""
    grey, spread = rng.uniform(40, 235), rng.uniform(5, 80)
    return np.clip(grey + rng.uniform(-spread, spread, 3), 0, 255).astype(np.float32)


def _colour_near(rng: np.random.Generator, colour: Colour, distance: float) -> Colour:
    return np.clip(colour + rng.uniform(-distance, distance) + rng.uniform(-20, 20, 3), 0, 255).astype(np.float32)


def _scale_up(array: np.ndarray, width: int, height: int, how: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize((width, height), how))


def _mix(weight: np.ndarray, first: Colour, second: Colour) -> np.ndarray:
    """Colours between two, by an (h, w) weight in 0..1. Returns (h, w, 3) uint8."""
    mixed: np.ndarray = first + weight[..., None].astype(np.float32) * (second - first) + 0.5
    return mixed.clip(0, 255).astype(np.uint8)


def _plain(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    return np.broadcast_to(_colour(rng).astype(np.uint8), (height, width, 3)).copy()


def _phase(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(height, width) float32: distance along a random direction, 0..1 over the image's longer side."""
    angle = rng.uniform(0, np.pi)
    along = np.arange(width, dtype=np.float32) * np.float32(np.cos(angle) / max(width, height))
    return (
        along[None, :] + (np.arange(height, dtype=np.float32) * np.float32(np.sin(angle) / max(width, height)))[:, None]
    )


def _gradient(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    phase = _phase(rng, 64, 64)
    weight = (phase - phase.min()) / (np.ptp(phase) + 1e-6)
    return _scale_up(_mix(weight, _colour(rng), _colour(rng)), width, height, Image.Resampling.BILINEAR)


def _noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Clouds of two colours, from noise at three scales."""
    total = np.zeros((96, 96), np.float32)
    for cells, share in ((3, 0.6), (8, 0.3), (32, 0.1)):
        grain = (rng.random((cells, cells)) * 255).astype(np.uint8)
        total += _scale_up(grain, 96, 96, Image.Resampling.BICUBIC) * np.float32(share / 255)
    first = _colour(rng)
    return _scale_up(_mix(total, first, _colour_near(rng, first, 90)), width, height, Image.Resampling.BICUBIC)


def _blobs(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Areas of three colours with soft curved borders."""
    grain = _scale_up((rng.random((6, 6)) * 255).astype(np.uint8), 128, 128, Image.Resampling.BICUBIC)
    first = _colour(rng)
    palette = np.stack([first, _colour_near(rng, first, 70), _colour_near(rng, first, 70)]).astype(np.uint8)
    areas = palette[np.digitize(grain, (100, 150))]
    return _scale_up(areas, width, height, Image.Resampling.BICUBIC)


def _stripes(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    wave = np.sin(_phase(rng, width, height) * np.float32(2 * np.pi * rng.uniform(2, 14)))
    first = _colour(rng)
    palette = np.stack([first, _colour_near(rng, first, 70)]).astype(np.uint8)
    return palette[(wave > 0).astype(np.intp)]


def _checks(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    cell = max(width, height) / rng.uniform(3, 14)
    across, down = (np.arange(width) / cell).astype(np.intp), (np.arange(height) / cell).astype(np.intp)
    first = _colour(rng)
    palette = np.stack([first, _colour_near(rng, first, 70)]).astype(np.uint8)
    pixels: np.ndarray = palette[(across[None, :] + down[:, None]) % 2]
    return pixels


def _room(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A wall above a floor, each shaded from top to bottom."""
    edge = int(height * rng.uniform(0.3, 0.6))
    wall, floor = _colour(rng), _colour(rng)
    shade = np.linspace(0.85, 1.1, height, dtype=np.float32)[:, None, None]
    rows = np.where(np.arange(height)[:, None, None] < edge, wall, floor) * shade
    return np.broadcast_to(rows.clip(0, 255).astype(np.uint8), (height, width, 3)).copy()


def _bricks(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Rows of bricks or tiles of about one colour, every other row shifted, with joints."""
    tall = max(width, height) / rng.uniform(5, 16)
    wide, shift = tall * rng.uniform(1, 3), rng.uniform(0, 0.5)
    row, within_row = np.divmod(np.arange(height) / tall, 1)
    column, within_column = np.divmod(np.arange(width)[None, :] / wide + (row % 2)[:, None] * shift, 1)
    shade = rng.uniform(0.85, 1.15, (32, 32)).astype(np.float32)
    shades = shade[row.astype(np.intp)[:, None] % 32, column.astype(np.intp) % 32]
    joint = (within_row < 0.08)[:, None] | (within_column < 0.08 * tall / wide)
    brick = (_colour(rng) * shades[..., None]).clip(0, 255)
    return np.where(joint[..., None], _colour(rng), brick).astype(np.uint8)


def _planks(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Boards across or upright, each of its own shade, with a grain along them."""
    longer = max(width, height)
    count = int(rng.integers(3, 12))
    board = np.arange(longer) * count // longer
    grain = _scale_up(
        rng.integers(0, 256, (longer // 2 + 1, 6), dtype=np.uint8), longer, longer, Image.Resampling.BICUBIC
    )
    shade = rng.uniform(0.8, 1.15, count).astype(np.float32)[board][:, None] * (0.9 + grain.astype(np.float32) / 1275)
    shade[np.flatnonzero(np.diff(board))] *= 0.7
    image = (_colour(rng) * shade[..., None]).clip(0, 255).astype(np.uint8)
    image = image.transpose(1, 0, 2) if rng.random() < 0.5 else image
    return np.ascontiguousarray(image[:height, :width])


def _dots(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Dots in rows, as on cloth or wrapping paper."""
    cell, radius = max(width, height) / rng.uniform(4, 14), rng.uniform(0.15, 0.4)
    down, across = np.arange(height) / cell, np.arange(width)[None, :] / cell
    across = across + (np.floor(down) % 2)[:, None] * 0.5
    inside = (down % 1 - 0.5)[:, None] ** 2 + (across % 1 - 0.5) ** 2 < radius**2
    first = _colour(rng)
    palette = np.stack([first, _colour_near(rng, first, 90)]).astype(np.uint8)
    return palette[inside.astype(np.intp)]


def _shapes(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Ellipses, boxes, triangles and lines of any colour: edges that belong to no nameable object."""
    image = Image.new("RGB", (width, height), tuple(_colour(rng).astype(int).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 24))):
        fill = tuple(_colour(rng).astype(int).tolist())
        x, y = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height
        w, h = rng.uniform(0.03, 0.4, 2) * max(width, height)
        kind = int(rng.integers(4))
        if kind == 0:
            pen.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=fill)
        elif kind == 1:
            pen.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=fill)
        elif kind == 2:
            pen.polygon([(x, y), (x + w, y + rng.uniform(-1, 1) * h), (x + rng.uniform(0, 1) * w, y + h)], fill=fill)
        else:
            pen.line((x, y, x + rng.choice((-2, 2)) * w, y + h), fill=fill, width=int(rng.integers(1, 8)))
    return np.array(image)
