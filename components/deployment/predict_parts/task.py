"""predict_parts: how its task runs the steps."""

from assay.data.parts import numbers
from assay.runtime.kfp import Task


def predict_parts(task: Task) -> None:
    """Predict the rows of some parts of a dataset, each part by itself.

    The predictions for a part depend on its rows and the model only: parts that were predicted
    before are answered from the cache, also after rows were appended to the table.
    """
    select, predict, gather = task.steps
    predicted = []
    for number in numbers(task.arguments["parts"]):
        selected = task.run(select, {"parts": f"{number}-{number}"}).outputs["selected"]
        predicted.append(task.run(predict, {"data": selected}).outputs["predictions"])
    task.run(gather, {"parts": predicted})
