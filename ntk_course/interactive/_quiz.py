"""A quiz that explains every option, from the chapter's questions."""

import json

from ntk_course import checking
from ntk_course.interactive._base import Figure


def quiz(chapter: str) -> Figure:
    """The quiz of a chapter: choose, and read why an option is right or wrong.

    Args:
        chapter: its two digits, such as "04".
    Returns:
        A `Figure` that needs no Python once it is shown.
    Raises:
        ValueError: if there is no such chapter.
    """
    spec = {"questions": checking.questions(chapter)["quiz"]}
    return Figure("quiz", f"quiz of chapter {int(chapter)}", json.dumps(spec), kind="quiz")
