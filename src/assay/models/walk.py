"""Traverse the objects of a fitted pipeline, including attributes that are not parameters."""

from collections.abc import Iterator
from typing import Any

from assay.errors import IntegrityError

_TREE = "sklearn.tree._tree.Tree"
_PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
_ENSEMBLES = ("sklearn.ensemble._forest", "sklearn.ensemble._gb")


def walk(root: Any) -> Iterator[Any]:
    """`root` and all objects with attributes that it refers to, each once."""
    import numpy as np

    seen: set[int] = set()
    pending = [root]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | type(None) | type):
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            pending += item
        elif isinstance(item, np.ndarray):
            if item.dtype == object:
                pending += item.ravel().tolist()
        else:
            yield item
            pending += getattr(item, "__dict__", {}).values()


def forget_circumstances(pipeline: Any) -> None:
    """Remove times and thread counts from fitted estimators.

    `n_jobs` must not be part of a model: a server chooses it, and sums over a different number of
    threads would change predictions in their last bits. Searches store the times of candidates.
    """
    import numpy as np

    for item in walk(pipeline):
        if hasattr(item, "get_params") and "n_jobs" in getattr(item, "__dict__", {}):
            item.n_jobs = None
        if hasattr(item, "refit_time_"):
            item.refit_time_ = 0.0
        results = getattr(item, "cv_results_", None)
        if isinstance(results, dict):
            for name in results:
                if name.endswith("_time"):
                    results[name] = np.zeros_like(results[name])


def check_trees(pipeline: Any) -> None:
    """Refuse trees with references to nodes or features that do not exist.

    scikit-learn does not check these references, so a forged file could crash the process or read
    its memory (https://github.com/scikit-learn/scikit-learn/pull/34558).

    Raises:
        IntegrityError: A reference is out of range.
    """
    for item in walk(pipeline):
        width = getattr(item, "n_features_in_", 0)
        for member in walk(getattr(item, "_predictors", ())):
            if _is(member, _PREDICTOR):
                _check_predictor(member, width)
        if _is(getattr(item, "tree_", None), _TREE):
            _check_tree(item.tree_, width)
        if type(item).__module__.startswith(_ENSEMBLES):
            # These pass tables to their trees without checking the width. Estimators that are not
            # fitted, such as the one of a search, have no trees.
            trees = [
                tree for tree in walk(getattr(item, "estimators_", ())) if hasattr(tree, "tree_")
            ]
            _require(all(tree.tree_.n_features <= width for tree in trees))


def _is(item: Any, name: str) -> bool:
    return f"{type(item).__module__}.{type(item).__qualname__}" == name


def _check_tree(tree: Any, width: int) -> None:
    left, right = tree.children_left, tree.children_right
    inner = left != -1
    _require(
        tree.node_count > 0
        and tree.n_features <= width
        and (inner == (right != -1)).all()
        and _point_forward(left, inner)
        and _point_forward(right, inner)
        and _below(tree.feature[inner], tree.n_features)
    )


def _check_predictor(predictor: Any, width: int) -> None:
    import numpy as np

    nodes = predictor.nodes
    names = {"left", "right", "feature_idx", "is_leaf", "is_categorical", "bitset_idx"}
    _require(isinstance(nodes, np.ndarray) and nodes.ndim == 1 and len(nodes) > 0)
    _require(names <= set(nodes.dtype.names or ()))
    inner = nodes["is_leaf"] == 0
    categorical = inner & (nodes["is_categorical"] != 0)
    sets = (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets)
    _require(
        _point_forward(nodes["left"].astype(np.int64), inner)
        and _point_forward(nodes["right"].astype(np.int64), inner)
        and _below(nodes["feature_idx"][inner], width)
        and all(_below(nodes["bitset_idx"][categorical], len(bits)) for bits in sets)
    )


def _point_forward(children: Any, inner: Any) -> bool:
    """Whether the children of inner nodes exist and follow their parents, so that walks end."""
    import numpy as np

    parents = np.arange(len(children))[inner]
    return bool((children[inner] > parents).all()) and _below(children[inner], len(children))


def _below(values: Any, limit: int) -> bool:
    return bool(((values >= 0) & (values < limit)).all())


def _require(holds: Any) -> None:
    if not holds:
        raise IntegrityError("model.skops: a tree has references out of range; the file is forged")
