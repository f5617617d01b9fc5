"""Small talk, and words that the model has never learned."""

from functools import cache
from random import Random

from stamp.training.scenes.groups import Lexicon
from stamp.training.talk import phrases
from stamp.training.talk.exchange import Exchange, with_article
from stamp.training.talk.situation import Situation

#: The answer to requests and questions about an unknown word.
UNKNOWN_ANSWER = "I don't know that word."
ONSETS = "b bl br c ch cl d dr f fl g gl gr h j k l m n p pl pr qu r s sl sn sp st t tr v w z"
VOWELS = "a e i o u ai ea ee oa oo"
CODAS = "b d g k l lt m n nd nk p r rn s sh t x"
#: Share of the unknown words that are made from a noun of the vocabulary.
GROWN_SHARE = 0.25
#: Everyday words that no picture shows, so that "unknown" is not "does not look like English".
UNTAUGHT = (
    "anchor armchair arrow asteroid attic bakery bandage barrel beard belt bench blanket bonfire bottle bowl "
    "bracelet branch brick bridge broom canyon carpet cave ceiling chain chimney cliff coal coin comb copper cork "
    "cotton cradle curtain desert diamond dice dish ditch doll door dough drawer dust elbow engine faucet feather "
    "fence finger flag floor fossil fountain garage garden gate glove glue harbour hinge hook iron island jar jewel "
    "knee lamp lantern leaf letter lighthouse magnet marble mattress meadow mirror mitten moon moss mud nail napkin "
    "needle nest oar oven paint paper path pebble pillow pipe plate pond pool porch powder puddle puppet quilt "
    "radio rail rib ribbon river roof rope rug saddle salt sand shelf shoulder sieve sink smoke soap sofa spoon "
    "stair statue steam stone stove straw string table tail tape thread thumb tile towel tower toy tray tunnel vase "
    "velvet wall wallet window wire wool wrist yarn"
)


@cache
def taught_words(lexicon: Lexicon) -> frozenset[str]:
    """Every word of the nouns, their synonyms and their groups."""
    nouns = [word for noun in lexicon.nouns for word in (noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals)]
    groups = [word for group in (*lexicon.objects, *lexicon.groups) for word in (group.name, group.plural)]
    return frozenset(word for name in (*nouns, *groups) for word in name.split())


def untaught_word(rng: Random, lexicon: Lexicon) -> str:
    """A word that is not in the vocabulary, singular or plural: from a list of everyday words, or made up.

    Some begin like a noun ("antlo"): knowing the ant does not mean knowing the antelope.
    """
    taken = taught_words(lexicon)
    while True:
        if rng.random() < GROWN_SHARE:
            word = rng.choice([noun.name for noun in lexicon.nouns if " " not in noun.name]) + made_up_word(rng)
        else:
            word = rng.choice(UNTAUGHT.split()) if rng.random() < 0.5 else made_up_word(rng)
        if taken.isdisjoint((word, f"{word}s")):
            return word


def made_up_word(rng: Random) -> str:
    """One to three syllables that could be English."""
    syllables = rng.choice((1, 2, 2, 2, 3))
    word = "".join(rng.choice(ONSETS.split()) + rng.choice(VOWELS.split()) for _ in range(syllables))
    return word + rng.choice(CODAS.split()) if syllables == 1 or rng.random() < 0.6 else word


def ask_unknown(s: Situation) -> Exchange:
    """A request or a question about a word that the model has not learned; the answer says so."""
    word = untaught_word(s.rng, s.lexicon)
    questions = (
        s.put(phrases.SEGMENT, the=f"the {word}"),
        s.put(phrases.EXISTS, a=with_article(word)),
        s.put(phrases.COUNT, many=f"{word}s"),
        s.put(phrases.WHERE, one=word),
    )
    return Exchange("unknown", s.rng.choice(questions), UNKNOWN_ANSWER, accepted=("know",))


def small_talk(s: Situation) -> Exchange:
    """Greetings, thanks, and what it can do."""
    questions, answer = s.rng.choice(phrases.SMALL_TALK)
    return Exchange("small_talk", s.put(questions), answer)
