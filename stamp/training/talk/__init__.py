"""Dialogue about a scene: questions, answers and, for each `<|seg|>` in an answer, the objects that it stands for.

Every exchange is true for its scene by construction. `facts` finds what is true, `phrases` has the words, `requests`,
`questions`, `follow_ups` and `chat` make exchanges, and `makers` draws from all of them.
"""
