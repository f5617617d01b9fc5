"""Unknown words: how often a checkpoint declines them, and how often it wrongly declines words it was taught."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from tqdm import tqdm

from benchmarks.datasets.sample import Dataset
from benchmarks.scoring.records import Record
from stamp.predictor import StampPredictor
from stamp.training.talk.chat import UNKNOWN_ANSWER

#: The kind of the samples with words that no checkpoint was taught.
UNKNOWN = "unknown"
#: A hundred words that are neither among the training's nouns nor among its unknown words, made up or listed.
UNSEEN = (
    "acorn almond ankle antelope apron armadillo artichoke ashtray asparagus badger ballerina bassoon bonnet "
    "bracket brooch button calculator cashew cello cement chalk cinnamon collar confetti corridor cymbal "
    "daffodil dandelion dentist dustpan earring easel envelope ferret freckle funnel garland geyser glacier "
    "gutter handle harp hay hoe igloo ink iris ivy ladle limousine locket lynx mantis marker mast mint moth "
    "mustard nutmeg oak pantry parsley penny pillar porcupine propeller quarry raft reef rosemary rudder shrub "
    "sphinx spinach sprocket stork sundial tambourine thimble thistle trellis trombone turnip tusk twig ukulele "
    "vulture walnut walrus wasp whistle willow windmill wreath yacht yak yoke zeppelin zipper zucchini"
)


def ask_unseen(predictor: StampPredictor, dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Ask for each unseen word once, on one picture after the other: the word, the answer, the number of masks."""
    images = list({sample.image: sample for sample in dataset.samples}.values())
    for word, sample in tqdm(list(zip(UNSEEN.split(), cycle(images), strict=False)), desc="unseen words", unit="word"):
        result = predictor.segment(predictor.encode_image(sample.load_image()), f"segment the {word}")
        yield {"word": word, "answer": result.response, "masks": len(result.masks)}


def refusals(answers: Sequence[dict[str, Any]], records: Sequence[Record]) -> dict[str, Any]:
    """Counts of unseen words and of recorded answers about taught words, and how many of each were declined.

    Declined means training's sentence for unknown words, and no mask.
    """
    accepted = [one for one in answers if not _is_declined(one["answer"], one["masks"])]
    known = [record for record in records if record.kind != UNKNOWN and record.text is not None]
    return {
        "unseen": len(answers),
        "unseen declined": len(answers) - len(accepted),
        "known": len(known),
        "known declined": sum(_is_declined(record.text or "", len(record.masks)) for record in known),
        "accepted": accepted,
    }


def _is_declined(answer: str, n_masks: int) -> bool:
    return UNKNOWN_ANSWER in answer and not n_masks
