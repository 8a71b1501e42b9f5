"""Other ways to explain what a personalised generator does, on the same pictures and at the same budget.

One module each, readable on its own; `rival_list.py` names them all. A rival with a part replaced is called "-style",
and its `replaced` says which part.
"""
