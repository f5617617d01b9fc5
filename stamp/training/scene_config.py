"""What composed scenes look like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneConfig:
    """What scenes look like. Sizes in pixels; shares are of the image area, probabilities 0..1.

    `min_area_share` and `max_area_share` bound the silhouette at placement; a kept object shows at least
    `min_visible_share` of the image and `min_visible_fraction` of its own silhouette, and in all but a
    `crowded_share` of the scenes about 85 % of its silhouette. With `style_first` a scene shows only nouns that its
    style draws, and styles are as frequent as they draw nouns; without, nouns are chosen first. `rich_backgrounds`
    vary the light and texture of panoramas and add patterns; `recolour_share` of the objects change in saturation and
    hue; `stretch` is the spread of the logarithm of their width. The defaults are those of the shipped checkpoint.
    """

    width: int = 384
    height: int = 384
    min_objects: int = 2
    max_objects: int = 5
    styles: tuple[str, ...] = ("fluent3d", "noto")
    panorama_share: float = 0.65
    min_area_share: float = 0.03
    max_area_share: float = 0.40
    min_visible_share: float = 0.025
    min_visible_fraction: float = 0.55
    repeat_share: float = 0.45
    other_style_share: float = 0.15
    crowded_share: float = 0.35
    augment: bool = True
    style_first: bool = False
    rich_backgrounds: bool = False
    recolour_share: float = 0.0
    stretch: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 32:
            raise ValueError(f"expected at least 32 x 32 pixels, got {self.width} x {self.height}")
        if not 2 <= self.min_objects <= self.max_objects <= 8:
            raise ValueError(
                f"expected 2 <= min_objects <= max_objects <= 8, got {self.min_objects}, {self.max_objects}"
            )
        if not 0 < self.min_visible_share <= self.min_area_share < self.max_area_share <= 1:
            shares = (self.min_visible_share, self.min_area_share, self.max_area_share)
            raise ValueError(f"expected 0 < min_visible_share <= min_area_share < max_area_share <= 1, got {shares}")
        if not self.styles:
            raise ValueError("expected at least one style, got none")
        probabilities = ("panorama_share", "min_visible_fraction", "repeat_share", "other_style_share", "crowded_share")
        for name in (*probabilities, "recolour_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0..1, got {getattr(self, name)}")
        if not 0 <= self.stretch <= 0.5:
            raise ValueError(f"stretch must be 0..0.5, got {self.stretch}")


def rich_config(styles: tuple[str, ...], width: int = 384, height: int = 384) -> SceneConfig:
    """Scenes for the large vocabulary: two to six objects, and more variety of backgrounds, colours and shapes."""
    return SceneConfig(
        width=width,
        height=height,
        styles=styles,
        max_objects=6,
        style_first=True,
        rich_backgrounds=True,
        recolour_share=0.4,
        stretch=0.12,
    )
