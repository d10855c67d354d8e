"""Loads a file of OpenTelemetry's declarative configuration: YAML or JSON, with variables substituted.

https://opentelemetry.io/docs/specs/otel/configuration/data-model/
"""

import re
from collections.abc import Mapping
from typing import Any

from telemetry.config.values import RefusalError

_REFERENCE = re.compile(r"\$\$|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}\n]*))?\}|\$\{[^}]*\}?")
_LARGEST = 1 << 20
_DEEPEST = 32
_TEXT = "tag:yaml.org,2002:str"


def load(text: str, environ: Mapping[str, str]) -> Any:
    """Return the value of a document; raise RefusalError with a predicate that never quotes it."""
    try:
        import yaml
    except ImportError:
        raise RefusalError("needs PyYAML, which is not installed (pip install pyyaml)") from None
    if len(text) > _LARGEST:
        raise RefusalError("is larger than 1 MiB")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _value(node, loader, yaml, environ, 0)
    except yaml.MarkedYAMLError as error:
        at = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RefusalError(f"is not YAML or JSON{at}") from None
    except yaml.YAMLError:
        raise RefusalError("is not YAML or JSON") from None
    finally:
        loader.dispose()


def _value(node: Any, loader: Any, yaml: Any, environ: Mapping[str, str], depth: int) -> Any:
    if depth > _DEEPEST:
        raise RefusalError(f"is nested more than {_DEEPEST} levels deep")
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, loader, yaml, environ, depth + 1) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in found:
                raise RefusalError(f"has a duplicate or non-string key in line {key.start_mark.line + 1}")
            found[key.value] = _value(value, loader, yaml, environ, depth + 1)
        return found
    if node.tag == _TEXT and "$" in node.value:
        text = substituted(node.value, environ)
        alone = _REFERENCE.fullmatch(node.value)
        # Only an unquoted value that consists of a single reference may become a number.
        tag = loader.resolve(yaml.ScalarNode, text, (True, False)) if alone and node.style is None else _TEXT
        node = yaml.ScalarNode(tag, text, node.start_mark, node.end_mark)
    return loader.construct_object(node)


def substituted(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with `${NAME}` and `${NAME:-default}` replaced by variables; `$$` is a dollar sign."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if not match["name"]:
            raise RefusalError("refers to a variable in a form other than ${NAME} or ${NAME:-default}")
        return environ.get(match["name"]) or match["default"] or ""

    return _REFERENCE.sub(replace, text)
