"""Row rules of ai.onnx.ml: scikit-learn's models take one example from each row of [N, F]."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import carry, same_rows
from actcache.passes.rows.registry import Op, known, rule
from actcache.passes.rows.rules_spatial import stay_on_axis_0
from actcache.passes.rows.sizes import ONE, ZERO, Size, const, product
from actcache.passes.rows.state import ROW_FREE, Mixes, Value

ML = "ai.onnx.ml"


@rule("Binarizer", "CategoryMapper", "LabelEncoder", domain=ML)
def elementwise(op: Op) -> Value:
    """A function, or a table, applied to every element alone."""
    return carry(op.need(0), op.need(0).shape)


@rule("OneHotEncoder", domain=ML)
def one_hot_encoder(op: Op) -> Value:
    """A new last axis that marks the category of each element."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    categories = op.attribute("cats_int64s") or op.attribute("cats_strings") or ()
    return carry(x, (*x.shape, const(len(categories))))


@rule("Scaler", "Imputer", domain=ML)
def per_feature(op: Op) -> Value:
    """x[…] with one parameter for all elements, or one for each entry of axis 1 (of axis 0 in a vector)."""
    names = ("scale", "offset", "imputed_value_floats", "imputed_value_int64s")
    if any(len(op.attribute(name, ())) > 1 for name in names):
        _examples(op, op.need(0), least=2)
    return carry(op.need(0), op.need(0).shape)


@rule("Normalizer", domain=ML)
def normalizer(op: Op) -> Value:
    """Divides each row of [N, C] by its norm; a vector is one row."""
    _examples(op, op.need(0))
    return carry(op.need(0), op.need(0).shape)


@rule("LinearRegressor", "SVMRegressor", "TreeEnsemble", "TreeEnsembleRegressor", domain=ML)
def regressor(op: Op) -> Value:
    """[N, F] to [N, targets], each row a function of its own features."""
    x = op.need(0)
    _examples(op, x)
    return stay_on_axis_0(op, x, (op.symbols.fresh("targets"),))


@rule("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier", domain=ML)
def classifier(op: Op) -> list[Value]:
    """[N, F] to the best class [N] and the scores [N, classes] of each row."""
    x = op.need(0)
    _examples(op, x)
    return [stay_on_axis_0(op, x, ()), stay_on_axis_0(op, x, (op.symbols.fresh("classes"),))][: len(op.node.output)]


@rule("FeatureVectorizer", domain=ML)
def feature_vectorizer(op: Op) -> Value:
    """Joins the features of [N, C₀], [N, C₁], … in a row; a vector is one row."""
    values = op.present
    row = same_rows(values, [0] * len(values))
    if row is None:
        return Value(ROW_FREE)
    for value in values:
        _examples(op, value)
    widths: list[Size] = [const(n) for n in op.attribute("inputdimensions", ())]
    return Value(row, (known(values[0])[0], sum(widths, ZERO)))


@rule("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(op: Op) -> Value:
    """Picks entries of the last axis, the same for all rows; a vector becomes [1, picked]."""
    op.row_free(1)
    x, index = op.need(0), op.need(1)
    if x.shape is None:
        return carry(x, None)
    if x.row is not None and x.row.axis == len(x.shape) - 1:
        raise Mixes("gather-rows", "ArrayFeatureExtractor picks rows of the batch by position")
    picked = op.symbols.fresh("picked") if index.shape is None else product(index.shape)
    return carry(x, (*(x.shape[:-1] or (ONE,)), picked))


def _examples(op: Op, x: Value, least: int = 1) -> None:
    """Require that rows are examples: axis 0 of a matrix (of at least a matrix, where more axes are allowed)."""
    if x.row is None:
        return
    rank = len(known(x))
    if x.row.axis != 0 or rank < 2 or (least == 1 and rank > 2):
        raise Mixes("not-batch-axis", f"{op.node.op_type} takes the rows of a matrix [N, F] for examples")
