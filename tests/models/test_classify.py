"""Labels and probabilities from one pass are those of two."""

from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, linear_model, tree

from assay.models.classify import classify

ESTIMATORS = [
    ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=400, random_state=0),
    ensemble.RandomForestClassifier(4, max_depth=2, random_state=0),
    ensemble.ExtraTreesClassifier(4, max_depth=2, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=3, random_state=0),
    linear_model.LogisticRegression(),
    tree.DecisionTreeClassifier(max_depth=2, random_state=0),
]


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"], [0, 1], [False, True]])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_the_results_are_those_of_scikit_learn_to_the_last_bit(
    estimator: Any, labels: list[Any]
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 3)).round(1)
    # With as many rows of each label and no signal, many rows are tied.
    fitted = estimator.fit(rows, np.asarray(labels)[np.arange(600) % len(labels)])
    found, chances = classify(fitted, rows)
    assert np.array_equal(found, fitted.predict(rows))
    assert found.dtype == fitted.predict(rows).dtype
    assert np.array_equal(chances, fitted.predict_proba(rows))


def test_a_boosted_model_whose_score_rounds_to_one_half_keeps_its_label() -> None:
    rows = np.arange(60.0).reshape(-1, 1)
    fitted = ensemble.HistGradientBoostingClassifier(max_iter=1).fit(rows, np.arange(60) % 2)
    fitted._baseline_prediction[:] = 1e-18
    for trees in fitted._predictors:
        trees[0].nodes["value"] = 0.0
    found, chances = classify(fitted, rows)
    assert np.array_equal(chances, np.full((60, 2), 0.5))
    assert found.tolist() == fitted.predict(rows).tolist() == [1] * 60


def test_trees_are_passed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(80, 2))
    fitted = ensemble.HistGradientBoostingClassifier(max_iter=2).fit(rows, rows[:, 0] > 0)
    passes = []
    raw = ensemble.HistGradientBoostingClassifier._raw_predict

    def counted(self: Any, *words: Any, **options: Any) -> Any:
        passes.append(len(words[0]))
        return raw(self, *words, **options)

    monkeypatch.setattr(ensemble.HistGradientBoostingClassifier, "_raw_predict", counted)
    classify(fitted, rows)
    assert passes == [80]
