"""The static check of one `$` expression of a config: its syntax tree against an allow-list."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from zoo.hub.allowed import (
    ATTRIBUTES,
    BUILTINS,
    IMPORTABLE,
    NAMED_CLASSES,
    PLAIN,
    is_importing,
    leads_to_allowed,
    why_refused,
)

DEFAULT_ALIASES = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}
# Where import statements may stand; nothing may refer to them, they would be handed out as objects.
IMPORT_KEYS = ("imports", "initialize")
_REFERENCES = "__local_refs"  # what ConfigParser puts in place of `@id`
_CUDNN_SWITCHES = {"benchmark", "deterministic", "allow_tf32"}
_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Call,
    ast.keyword, ast.Starred, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.List,
    ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    ast.comprehension, ast.Lambda, ast.arguments, ast.arg, ast.JoinedStr, ast.FormattedValue,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def parse_import(text: str) -> dict[str, str] | None:
    """Alias -> dotted name of an import statement (without its `$`); None for anything else."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.Import | ast.ImportFrom):
        return None
    start = f"{'.' * body[0].level}{body[0].module}." if isinstance(body[0], ast.ImportFrom) else ""
    return {alias.asname or alias.name: start + alias.name for alias in body[0].names}


def check_import(imported: Mapping[str, str], aliases: Mapping[str, str]) -> str | None:
    """What is wrong with an import statement; None when it is harmless."""
    for alias, dotted in imported.items():
        if dotted.split(".")[0] not in IMPORTABLE:
            return f"import of {dotted}"
        if not leads_to_allowed(dotted) and _check_dotted(dotted):
            return f"import of {dotted}"
        if aliases.get(alias, dotted) != dotted or alias in BUILTINS:
            return f"the name {alias} is given two meanings"
    return None


def check_expression(text: str, aliases: Mapping[str, str]) -> str | None:
    """What is wrong with an expression (with its `$`); None when it is harmless.

    `aliases` are the modules in sight: name in the expression -> dotted name.
    """
    if "__" in text:
        return "double underscores"
    from monai.bundle import ReferenceResolver

    references = ReferenceResolver.match_refs_pattern(text)
    if problem := check_references(references):
        return problem
    text = ReferenceResolver.update_refs_pattern(text, dict.fromkeys(references))
    try:
        tree = ast.parse(text[1:].lstrip(" \t"), mode="eval")
        return next(_problems(tree, aliases), None)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "not an expression"


def check_references(references: Mapping[str, object]) -> str | None:
    """Refuse references to import statements: they would hand out whole modules."""
    for reference in references:
        if any(part in IMPORT_KEYS for part in reference.split("::")):
            return f"a reference to {reference}"
    return None


def _problems(tree: ast.Expression, aliases: Mapping[str, str]) -> Iterator[str]:
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    if shadowed := bound & set(aliases):
        yield f"the name {min(shadowed)} is given two meanings"
    names = bound | BUILTINS | {_REFERENCES}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _NODES):
            yield f"{type(node).__name__} is not allowed"
        dotted = _dotted(node, aliases)
        if dotted is not None:  # a name that begins at a module is judged as a whole
            if problem := _check_dotted(dotted):
                yield problem
            continue
        if isinstance(node, ast.Call):
            if _is_cudnn_switch(node, aliases) or _is_process_group(node, aliases):
                continue
            if problem := _check_call(node):
                yield problem
        if isinstance(node, ast.Name) and node.id not in names:
            yield f"the name {node.id}"
        if isinstance(node, ast.Attribute) and node.attr not in ATTRIBUTES:
            yield f"the attribute .{node.attr}"
        waiting.extend(ast.iter_child_nodes(node))


def _dotted(node: ast.AST, aliases: Mapping[str, str]) -> str | None:
    """The full name of a chain of attributes that begins at a module, else None."""
    tail = []
    while isinstance(node, ast.Attribute):
        tail.append(node.attr)
        node = node.value
    if not (isinstance(node, ast.Name) and node.id in aliases):
        return None
    return ".".join([aliases[node.id], *reversed(tail)])


def _check_dotted(dotted: str) -> str | None:
    """Allow a plain function, a component, or a harmless attribute of either."""
    parts = dotted.split(".")
    for end in range(len(parts), 1, -1):
        name, rest = ".".join(parts[:end]), parts[end:]
        if name in PLAIN or why_refused(name) is None:
            if is_importing(name):
                return f"{name} (use it as a _target_)"
            return next((f"the attribute .{part}" for part in rest if part not in ATTRIBUTES), None)
    return dotted


def _check_call(node: ast.Call) -> str | None:
    """Refuse keyword arguments that name a class to import or allow pickles."""
    for keyword in node.keywords:
        if keyword.arg in NAMED_CLASSES or keyword.arg in ("allow_pickle", "weights_only"):
            return f"the argument {keyword.arg}"
    return None


def _is_cudnn_switch(node: ast.Call, aliases: Mapping[str, str]) -> bool:
    """Whether it is `setattr(torch.backends.cudnn, 'benchmark', True)` or one of its like."""
    if not (isinstance(node.func, ast.Name) and node.func.id == "setattr"):
        return False
    if len(node.args) != 3 or node.keywords:
        return False
    where, what, value = node.args
    return (
        _dotted(where, aliases) == "torch.backends.cudnn"
        and isinstance(what, ast.Constant)
        and what.value in _CUDNN_SWITCHES
        and isinstance(value, ast.Constant)
    )


def _is_process_group(node: ast.Call, aliases: Mapping[str, str]) -> bool:
    """Whether it is `torch.distributed.init_process_group(backend='...')` and no more."""
    return (
        _dotted(node.func, aliases) == "torch.distributed.init_process_group"
        and not node.args
        and [keyword.arg for keyword in node.keywords] == ["backend"]
        and isinstance(node.keywords[0].value, ast.Constant)
    )
