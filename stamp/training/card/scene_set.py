"""Writes an evaluation set of scenes: pictures, expressions with their masks, questions with accepted answers.

The format is the one `benchmarks.datasets.scenes` reads. Half of the sentences use phrasings that training never
uses. Scenes come from the last part of the validation seeds, which nothing else uses.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from stamp.pictures.masks import encode_rle
from stamp.training.scenes.art import CUTOUT_STYLES, PANORAMA_SOURCE, STYLE_SOURCES, ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.rasterise import ArtError
from stamp.training.scenes.scene_config import SceneConfig
from stamp.training.scenes.scenes import VALIDATION_SEEDS, Scene, compose_scene
from stamp.training.scenes.training_pictures import held_out_cutouts
from stamp.training.talk import chat, facts, questions, requests
from stamp.training.talk.exchange import Exchange, number_words
from stamp.training.talk.makers import Maker
from stamp.training.talk.situation import Situation

TEST_SEEDS = range(VALIDATION_SEEDS.stop - 10**5, VALIDATION_SEEDS.stop)
#: Widths and heights in pixels, used in turn: square, wide and tall.
SIZES_WH = ((384, 384), (448, 320), (320, 448))
EXPRESSION_MAKERS: tuple[Maker, ...] = (
    requests.segment_name,
    requests.segment_colour,
    requests.segment_place,
    requests.segment_size,
    requests.segment_beside,
    requests.segment_group,
    requests.segment_several,
    requests.segment_everything,
)
QUESTION_MAKERS: tuple[Maker, ...] = (
    questions.ask_what,
    questions.ask_beside,
    questions.ask_count,
    questions.ask_exists,
    questions.ask_where,
    questions.ask_bigger,
    chat.ask_unknown,
)
#: Per scene, in addition to one request for something that is not there.
EXPRESSIONS_A_SCENE, QUESTIONS_A_SCENE = 3, 3
WEBP_QUALITY = 85
CUTOUTS, CUTOUTS_NOTICE = "Things cut out of photographs", "their folder names the sources and licences."
LICENCES_HEAD = (
    "# Licences of the pictures\n\nScenes composed by this project. `scenes.jsonl` says which art each shows.\n"
)
#: For each kind of question, the lists of rivals.json that its answer must not name.
RIVALS = {
    "count": ("numbers",),
    "exists": ("yes_no",),
    "where": ("sides",),
    "what": ("nouns",),
    "what_beside": ("nouns",),
}


@dataclass(frozen=True)
class Split:
    """A part of the set. panorama_share: share of scenes on panoramas; the library decides which ones."""

    name: str
    art: ArtLibrary
    panorama_share: float = 0.65


def write_scene_set(splits: Sequence[Split], scenes_a_split: int, out: Path) -> None:
    """Write `scenes.jsonl`, `rivals.json`, `images/` and the art's notices; same bytes for the same art and code."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, split in enumerate(splits):
        first = TEST_SEEDS.start + number * 10**4
        for index in tqdm(range(scenes_a_split), desc=split.name, unit="scene"):
            width, height = SIZES_WH[index % len(SIZES_WH)]
            config = SceneConfig(split.art.styles, width, height, panorama_share=split.panorama_share)
            scene = compose_scene(first + index, split.art, config)
            entry = scene_entry(f"{split.name}-{index:04}", split.name, scene, Lexicon.of(split.art.nouns))
            Image.fromarray(scene.image).save(out / entry["image"], quality=WEBP_QUALITY, method=6)
            lines.append(json.dumps(entry) + "\n")
    credits = _credits({style for split in splits for style in split.art.styles}, panorama=True)
    notices = [f"- {source}: {notice}" for source, notice in credits.items()]
    (out / "LICENCES.md").write_text("\n".join([LICENCES_HEAD, *notices]) + "\n")
    nouns = {noun for split in splits for noun in split.art.nouns}
    (out / "rivals.json").write_text(json.dumps(rivals(sorted(nouns, key=lambda noun: noun.name)), indent=1) + "\n")
    (out / "scenes.jsonl").write_text("".join(lines))  # last, so that a set that has it is whole


def write_cutout_set(art: Path, photos: Path, scenes: int, out: Path) -> None:
    """The same from things cut out of held-out photographs, on held-out panoramas; one split, `cutouts`.

    Raises ArtError: no panoramas are installed. ValueError: too few things could be cut out.
    """
    library = held_out_cutouts(art, photos)
    if not library.panoramas:
        raise ArtError(f"{art} has no panoramas: run `python -m stamp.training art --art {art}` first")
    write_scene_set([Split("cutouts", library, panorama_share=1.0)], scenes, out)


def rivals(nouns: Sequence[Noun]) -> dict[str, list[list[str]]]:
    """Lists of things an answer may name, each with all its forms."""
    return {
        "numbers": [list(number_words(count)) for count in range(7)],
        "yes_no": [["yes"], ["no"]],
        "sides": [[side] for side in (*facts.SIDES, "middle")],
        "nouns": [[noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals] for noun in nouns],
    }


def scene_entry(scene_id: str, split: str, scene: Scene, lexicon: Lexicon) -> dict[str, Any]:
    """One line of scenes.jsonl."""
    height, width = scene.labels.shape
    rng = Random(scene.seed)
    asked = _draw_different(EXPRESSION_MAKERS, scene, rng, lexicon, EXPRESSIONS_A_SCENE)
    asked.append(requests.segment_absent(_situation(scene, rng, lexicon)))
    talk = _draw_different(QUESTION_MAKERS, scene, rng, lexicon, QUESTIONS_A_SCENE)
    credits = _credits({item.style for item in scene.objects}, scene.background == "panorama")
    return {
        "id": scene_id,
        "split": split,
        "image": f"images/{scene_id}.webp",
        "width": width,
        "height": height,
        "licences": list(credits),
        "objects": [
            {"noun": item.noun.name, "style": item.style, "rle": encode_rle(scene.mask(item.mask_id))}
            for item in scene.objects
        ],
        "expressions": [_expression(exchange, scene) for exchange in asked],
        "questions": [_question(one) for one in talk],
    }


def _credits(styles: Collection[str], panorama: bool) -> dict[str, str]:
    """The sources of what a picture shows, with their licences; and the notice of each."""
    sources = [STYLE_SOURCES[style] for style in sorted(styles) if style not in CUTOUT_STYLES]
    sources += [PANORAMA_SOURCE] if panorama else []
    credits = {f"{source.spec}, {source.licence}": source.notice for source in sources}
    return credits if set(CUTOUT_STYLES).isdisjoint(styles) else credits | {CUTOUTS: CUTOUTS_NOTICE}


def _situation(scene: Scene, rng: Random, lexicon: Lexicon) -> Situation:
    return Situation(scene, rng, lexicon, held_out_phrases=rng.random() < 0.5)


def _draw_different(makers: Sequence[Maker], scene: Scene, rng: Random, lexicon: Lexicon, count: int) -> list[Exchange]:
    """Exchanges of different kinds, as many as requested or as the scene allows."""
    order = rng.sample(makers, len(makers))
    drawn: Iterator[Exchange | None] = (make(_situation(scene, rng, lexicon)) for make in order)
    return [exchange for exchange in drawn if exchange is not None][:count]


def _expression(exchange: Exchange, scene: Scene) -> dict[str, Any]:
    ids = [mask_id for target in exchange.targets for mask_id in target]
    code = encode_rle(np.isin(scene.labels, ids)) if ids else None
    return {"kind": exchange.kind, "text": exchange.question, "phrase": exchange.phrase, "rle": code}


def _question(exchange: Exchange) -> dict[str, Any]:
    return {
        "kind": exchange.kind,
        "text": exchange.question,
        "accepted": list(exchange.accepted),
        "rivals": list(RIVALS.get(exchange.kind, ())),
    }
