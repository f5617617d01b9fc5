"""How the methods of the comparison are trained: objectives, recipe, sweep, card."""
