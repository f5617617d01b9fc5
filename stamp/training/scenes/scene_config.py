"""The appearance of composed scenes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneConfig:
    """The appearance of scenes. Sizes in pixels; shares are of the image area, probabilities 0..1.

    `min_area_share` and `max_area_share` limit the silhouette at placement; a kept object shows at least
    `min_visible_share` of the image and `min_visible_fraction` of its own silhouette, and in all but a
    `crowded_share` of the scenes about 85 % of its silhouette. A scene shows nouns that its style draws, all but
    `other_style_share` of them in that style; a style's frequency is proportional to its number of nouns.
    `recolour_share` of the objects change in saturation and hue. Of the scenes without a panorama, `backdrop_share` are
    on a photograph. `stretch` is the spread of the logarithm of the objects' width over height.
    """

    styles: tuple[str, ...]
    width: int = 384
    height: int = 384
    min_objects: int = 2
    max_objects: int = 6
    panorama_share: float = 0.65
    backdrop_share: float = 0.5
    min_area_share: float = 0.03
    max_area_share: float = 0.40
    min_visible_share: float = 0.025
    min_visible_fraction: float = 0.55
    repeat_share: float = 0.45
    other_style_share: float = 0.15
    crowded_share: float = 0.35
    augment: bool = True
    recolour_share: float = 0.4
    stretch: float = 0.12

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
        probabilities = (
            "panorama_share",
            "backdrop_share",
            "min_visible_fraction",
            "repeat_share",
            "other_style_share",
            "crowded_share",
        )
        for name in (*probabilities, "recolour_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0..1, got {getattr(self, name)}")
        if not 0 <= self.stretch <= 0.5:
            raise ValueError(f"stretch must be 0..0.5, got {self.stretch}")
