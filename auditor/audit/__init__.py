"""One adapter from its file to its result, the loop of a task, and what makes both safe to interrupt."""
