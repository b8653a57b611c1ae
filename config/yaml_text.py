"""Reading of YAML that a stranger may have written: of bounded size, and nothing said twice or elsewhere."""

from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MOST_CHARACTERS = 2**20


class _Loader(yaml.SafeLoader):
    """Plain values only; refuses what PyYAML takes in silence."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a few lines of them stand for more values than fit into memory, or for themselves."""
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(
                None, None, "an alias (*) is not read; write its values out", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that stands twice, of which the first would be lost."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """The plain values of a text, of which no code is executed; raises ValueError that says where it is wrong."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has more than {MOST_CHARACTERS} characters")
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("its parts lie too deep in each other") from error
