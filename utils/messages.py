"""Messages that quote what stands in a file, which may be anything."""

import re

MOST_LETTERS = 800  # of a message: a name in a damaged file may be as long as the file
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """A message as one line that any terminal and table can show, however odd what it quotes; its middle may go."""
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS // 2]} ... {text[-MOST_LETTERS // 2 :]}"
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
