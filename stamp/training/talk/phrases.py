"""How things are asked: the phrasings of the published models and plainer ones.

The last of five or more phrasings of a list is held out of training (`situation`).
"""

SEGMENT = (
    "segment {the}",
    "Segment {the}.",
    "Please segment only {the} in the image.",
    "Can you segment {the} in the image?",
    "Where is {the} in this picture? Please respond with segmentation mask.",
    "Find {the}.",
    "Show me {the}.",
    "Mask {the}, please.",
    "Highlight {the} in the picture.",
    "Could you outline {the}?",
    "Please segment {the}.",
    "Mark {the}.",
    "Please highlight {the}.",
    "Outline {the} in the image.",
    "I want a mask of {the}.",
    "Please find {the} for me.",
    "Select {the} in this image.",
    "Cut out {the}.",
    "Draw a mask over {the}.",
    "Please outline {the} in the picture.",
    "Could you please segment {the}?",
    "Give me the mask of {the}.",
    "Generate a mask for {the}.",
    "I need a segmentation of {the}.",
    "Can you highlight {the}?",
    "Trace {the}.",
    "Isolate {the} from the background.",
    "Which pixels belong to {the}?",
    "Could you show {the} to me?",
    "Please mark {the} in the image.",
)
SEGMENT_SEVERAL = (
    "segment {the}",
    "Segment {the} in the image.",
    "Can you segment {the}?",
    "Find {the}.",
    "Mask {the}.",
    "Outline {the} in the picture.",
    "Highlight {the}.",
    "Could you mark {the}?",
    "I want masks of {the}.",
    "Show me {the}.",
    "Select {the} in this image.",
    "Give me masks of {the}.",
    "Can you highlight {the}?",
    "Trace {the}.",
    "Please segment {the}.",
)
ALL = ("all {}", "the {}", "all the {}", "all of the {}")
BOTH = ("both {}", "both of the {}", "the two {}")
EVERYONE = ("everyone", "everybody", "all the people")
MIDDLE = ("the {} in the middle", "the middle {}", "the {} in the centre")
EXTREME = {
    "left": ("the {} on the left", "the leftmost {}", "the {} on the far left"),
    "right": ("the {} on the right", "the rightmost {}", "the {} on the far right"),
    "top": ("the {} at the top", "the topmost {}", "the highest {}"),
    "bottom": ("the {} at the bottom", "the lowest {}", "the bottommost {}"),
}
SIZE = {
    "big": ("the biggest {}", "the largest {}"),
    "small": ("the smallest {}", "the tiniest {}"),
}
BIGGER_OF_TWO = {"big": ("the bigger {}", "the larger {}"), "small": ("the smaller {}",)}
BESIDE = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "top": ("above", "higher than"),
    "bottom": ("below", "lower than"),
}
NEXT_TO = ("next to", "nearest to", "closest to")

WHAT_EXTREME = {
    "left": ("What is on the left?", "What is the leftmost object?", "What do you see on the left?"),
    "right": ("What is on the right?", "What is the rightmost object?", "What do you see on the right?"),
    "top": ("What is at the top?", "What is the topmost object?", "What do you see at the top?"),
    "bottom": ("What is at the bottom?", "What is the lowest object?", "What do you see at the bottom?"),
}
WHAT_SIZE = {
    "big": ("What is the biggest object?", "What is the largest thing?", "Which object is the biggest?"),
    "small": ("What is the smallest object?", "What is the smallest thing?", "Which object is the smallest?"),
}
WHAT_MAIN = (
    "What is this?",
    "What is that?",
    "What am I looking at?",
    "What is the main object?",
    "What is the main thing in the picture?",
    "What do we have here?",
    "What is in front of me?",
    "Can you tell me what this is?",
    "Do you know what this is?",
)
WHAT_BESIDE = (
    "What is {beside} the {one}?",
    "What do you see {beside} the {one}?",
    "Which object is {beside} the {one}?",
)
COUNT = (
    "How many {many} are there?",
    "How many {many}?",
    "How many {many} do you see?",
    "How many {many} are in the picture?",
    "Count the {many}.",
    "How many {many} can be seen?",
    "How many {many} does the image have?",
    "How many {many} did you count?",
    "Please count the {many}.",
    "Could you count the {many}?",
    "Tell me how many {many} there are.",
    "What is the number of {many}?",
    "How many {many} are in this scene?",
    "How many {many} can I see here?",
    "How many {many} can you see?",
    "How many {many} could you spot in this image?",
    "How many {many} do you notice?",
    "How many {many} are visible?",
    "How many {many} are shown here?",
    "How many {many} has the picture got?",
    "How many {many} exist in the image?",
    "The number of {many}?",
    "Can you tell me how many {many} there are?",
    "I would like to know how many {many} you see.",
    "Do you know how many {many} there are?",
    "How many {many} can you find?",
)
EXISTS = (
    "Is there {a}?",
    "Is there {a} in the picture?",
    "Is there {a} in the image?",
    "Do you see {a}?",
    "Can you see {a} here?",
    "Is {a} in the picture?",
    "Is {a} visible?",
    "Does this image contain {a}?",
    "Does it have {a}?",
    "Can you find {a}?",
    "Tell me if there is {a}.",
    "Is there {a} somewhere?",
    "Did you see {a}?",
    "Does the scene have {a} in it?",
    "I wonder if there is {a}.",
    "Can {a} be seen?",
    "Have you seen {a}?",
    "Is {a} shown here?",
    "Does the photo include {a}?",
    "Would you say there is {a} here?",
    "Could you check for {a}?",
    "Has the image got {a}?",
    "Is there {a} to be seen?",
    "Do you know if there is {a}?",
    "Can you tell me if there is {a}?",
    "Does the picture show {a}?",
)
DESCRIBE = (
    "What is in the picture?",
    "Describe the image.",
    "What do you see?",
    "Describe the picture.",
    "Tell me what you see.",
    "What is shown here?",
    "List the objects.",
    "What can you see?",
    "Tell me about the picture.",
    "Which objects are there?",
    "What is going on here?",
    "Name the things you see.",
    "What does the image show?",
)
WHICH_OF_THESE = ("Which of these do you see: {list}?", "Which of these are there: {list}?", "Check: {list}.")
COUNT_EACH = ("How many of each: {list}?", "Count each: {list}.")
WHERE = (
    "Where is the {one}?",
    "Where is the {one} in the picture?",
    "On which side is the {one}?",
    "Where do you see the {one}?",
    "Where can I find the {one}?",
    "Tell me where the {one} is.",
    "Where in the image is the {one}?",
    "Where exactly is the {one}?",
    "What place does the {one} have?",
    "Can you tell me where the {one} is?",
    "Do you know where the {one} is?",
    "Whereabouts is the {one}?",
    "Which side is the {one} on?",
    "Where should I look for the {one}?",
    "Where does the {one} stand?",
    "At which place in the image is the {one}?",
    "What is the position of the {one}?",
    "Is the {one} on the left or on the right?",
    "The {one} is where?",
    "Please say where the {one} is.",
    "On what side do you see the {one}?",
    "I cannot find the {one}. Where is it?",
    "In what corner is the {one}?",
    "In which area do I find the {one}?",
    "Describe where the {one} is.",
    "How do I find the {one} in the photo?",
    "In which part of the picture is the {one}?",
)
BIGGER = (
    "Which is bigger, the {one} or the {other}?",
    "What is larger, the {one} or the {other}?",
    "Is the {one} or the {other} bigger?",
)

AND_THE = ("And the {one}?", "What about the {one}?", "Now the {one}.")
SEGMENT_IT = ("Segment it.", "Can you segment it?", "Show it to me.", "Mask it, please.", "Now segment it.")
AND_NEXT_TO_IT = ("And the one next to it?", "And the object next to it?", "Segment the one next to it.")
WHERE_IS_IT = ("Where is it?", "On which side is it?", "Where do you see it?")

SMALL_TALK = (
    (("Hello", "Hi", "Hello!", "Hi there"), "Hello! Ask me about the picture, or ask me to segment something."),
    (("What can you do?", "Help", "Who are you?"), "I can talk about the picture and segment the objects in it."),
    (("Thanks", "Thank you!", "Thank you"), "You are welcome!"),
    (("Bye", "Goodbye", "See you"), "Goodbye!"),
    (("OK", "Nice", "Great!", "Good"), "What would you like to see next?"),
)
