"""The nano checkpoint before training: Qwen2-VL's architecture at a tiny size, and a tokenizer for its own dialogue."""

from collections.abc import Iterable
from itertools import chain
from random import Random

import torch
from tokenizers import models, pre_tokenizers, trainers
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerFast
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLTextConfig, Qwen2VLVisionConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from stamp.checkpoints.published_layout import CHAT_TEMPLATE, QWEN_TOKENS, byte_level_tokenizer
from stamp.model.configuration_stamp import STAMP_TOKENS, StampConfig, VisionStem
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import END_OF_TURN, StampProcessor
from stamp.model.vision_stem import IMAGE_MEAN, IMAGE_STD
from stamp.training.learning.pretrained_stem import load_pretrained
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.nouns import CATEGORY_WORDS, FUNCTION_WORDS
from stamp.training.talk import phrases
from stamp.training.talk.exchange import NUMBERS, a_noun
from stamp.training.talk.makers import as_typed

#: Pictures of the shipped checkpoint have at most GRID x GRID mask tokens.
GRID = 16
PATCH_PX = 16
MERGE = 1
CELL_PX = PATCH_PX * MERGE
VOCAB_SIZE = 4500
#: 1 / sqrt(width): Qwen2-VL's 0.02 is for widths of thousands and stalls a narrow model.
INIT_STD = 0.07
#: The same for matrices that write into the residual stream.
SUM_STD = 0.01
#: Pairs of rotary dimensions for time, rows and columns. The fastest come first. In Qwen2-VL's proportions (8, 12, 12)
#: columns would get the slowest, which turn by 0.002 rad across such a small picture: left and right would look alike.
MROPE_SECTION = [4, 6, 22]


#: Masks written as text, as in the benchmark's baselines: vertices, and run lengths of patches.
MASKS_AS_TEXT = ("[[12, 34], [56, 78]], [[90, 3]]", "others*12, apple*4\nothers*16")


def tokenizer_corpus(lexicon: Lexicon) -> Iterable[str]:
    """Every phrase of the dialogue with every noun that fits: the corpus for the byte-pair merges."""
    yield from ("You are a helpful assistant.", "system", "user", "assistant") * 50
    yield from MASKS_AS_TEXT * 400
    rng = Random(0)
    answers = (
        "Sure, here is the segmentation mask for the {one}: ",
        "Sure, here are the segmentation masks for the {one}: and the {one}:",
        "There is no {one} in the image.",
        "It is {a}.",
        "I see {a}, {a} and {a}.",
        "There are two {many}.",
        "The {one} is bigger.",
        "I don't know that word.",
        "There is nothing you can {one}.",
    )
    lists = (phrases.SEGMENT, phrases.SEGMENT_SEVERAL, phrases.COUNT, phrases.EXISTS, phrases.WHERE, phrases.BIGGER)
    for noun in lexicon.nouns:
        slots = {"the": f"the {noun.name}", "many": noun.plural, "one": noun.name, "other": noun.name}
        for phrase in (*chain.from_iterable(lists), *answers):
            text = phrase.format(a=a_noun(noun), **slots)
            yield text
            yield as_typed(text, rng)
        for other_name in (*noun.synonyms, *noun.synonym_plurals):
            yield from (f"the {other_name} {noun.colour} {other_name}",) * 20
    fixed = [*phrases.DESCRIBE, *phrases.SEGMENT_IT, *phrases.AND_NEXT_TO_IT, *phrases.WHERE_IS_IT, *NUMBERS]
    for group in (phrases.WHAT_EXTREME, phrases.WHAT_SIZE, phrases.EXTREME, phrases.SIZE, phrases.BESIDE):
        fixed += chain.from_iterable(group.values())
    fixed += chain.from_iterable((*CATEGORY_WORDS.values(), *FUNCTION_WORDS.values()))
    fixed += [name for group in lexicon.objects for name in (group.name, group.plural)]
    fixed += [text for questions, answer in phrases.SMALL_TALK for text in (*questions, answer)]
    yield from fixed * 20


def build_processor(lexicon: Lexicon) -> StampProcessor:
    """A byte-level BPE tokenizer for dialogue about these nouns, Qwen2-VL's and STAMP's special tokens, image sizes."""
    backend = byte_level_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(tokenizer_corpus(lexicon), trainer)
    backend.add_special_tokens([*QWEN_TOKENS, *STAMP_TOKENS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END_OF_TURN,
        pad_token=QWEN_TOKENS[0],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    return StampProcessor(tokenizer, image_processor(GRID))


def image_processor(grid: int | None, like: Qwen2VLImageProcessorPil | None = None) -> Qwen2VLImageProcessorPil:
    """Qwen2-VL's preprocessing with the nano's patches and its stem's pixel values.

    grid: every picture is resized to at most grid x grid cells and not much fewer; None keeps sizes.
    like: the processor of a checkpoint that uses other pixel values.
    """
    largest = 10**9 if grid is None else (grid * CELL_PX) ** 2
    smallest = 1 if grid is None else round(0.84 * largest)
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH_PX,
        merge_size=MERGE,
        temporal_patch_size=2,
        min_pixels=smallest,
        max_pixels=largest,
        image_mean=[IMAGE_MEAN] * 3 if like is None else like.image_mean,
        image_std=[IMAGE_STD] * 3 if like is None else like.image_std,
    )


def build_config(processor: StampProcessor, vision_stem: VisionStem = "efficientnet-lite0") -> StampConfig:
    """About 8.5 million parameters: the stem has 2 million; vision and text have 6 layers each, 192 wide."""
    special = processor.tokenizer.get_added_vocab()
    text = Qwen2VLTextConfig(
        vocab_size=len(processor.tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-6,
        initializer_range=INIT_STD,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0, "mrope_section": MROPE_SECTION},
        bos_token_id=special[QWEN_TOKENS[0]],
        eos_token_id=special[END_OF_TURN],
    )
    vision = Qwen2VLVisionConfig(
        depth=6,
        embed_dim=192,
        hidden_size=192,
        num_heads=6,
        mlp_ratio=4,
        patch_size=PATCH_PX,
        spatial_merge_size=MERGE,
        temporal_patch_size=2,
        initializer_range=INIT_STD,
    )
    return StampConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        seg_token_id=processor.seg_token_id,
        mask_token_id=processor.mask_token_id,
        mask_position_mode="image",
        vision_stem=vision_stem,
        tie_word_embeddings=True,
    )


def build_model(
    processor: StampProcessor, seed: int, vision_stem: VisionStem = "efficientnet-lite0"
) -> StampForSegmentation:
    """A model with new random weights and a stem with ImageNet's.

    Text layers add little at first; among random sums of full size the image features would be lost.
    """
    torch.manual_seed(seed)
    model = StampForSegmentation(build_config(processor, vision_stem))
    if vision_stem != "patches":
        load_pretrained(model.model.visual.stem)
    for layer in model.model.language_model.layers:
        for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
            nn.init.normal_(last.weight, std=SUM_STD)
    model.generation_config = GenerationConfig(
        eos_token_id=[processor.end_token_id, model.config.text_config.bos_token_id],
        pad_token_id=model.config.text_config.bos_token_id,
    )
    return model
