"""Samples for ai.onnx.ml, with the small models that scikit-learn's exporters would write."""

from __future__ import annotations

from rows_support import ROWS, Sample, ints, literal, rows, sample, weight

_X = rows(3)
_LINEAR = "coefficients = [0.3, -1.2, 0.7, 1.1, 0.4, -0.6], intercepts = [0.25, -0.5]"
_SVM = """kernel_type = "RBF", kernel_params = [0.3, 0.0, 3.0], coefficients = [0.5, -0.3],
    support_vectors = [0.1, 0.2, 0.3, -0.4, 0.5, 0.6], rho = [0.2]"""
#: Two leaves under one comparison of feature 0.
_NODES = """nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [0, 0, 0],
    nodes_values = [0.2, 0.0, 0.0], nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"],
    nodes_truenodeids = [1, 0, 0], nodes_falsenodeids = [2, 0, 0]"""
_TREE = f"""{_NODES}, target_treeids = [0, 0], target_nodeids = [1, 2], target_ids = [0, 1],
    target_weights = [0.37, -1.9], n_targets = 2"""
_FOREST = f"""{_NODES}, class_treeids = [0, 0], class_nodeids = [1, 2], class_ids = [0, 1],
    class_weights = [0.37, 0.9], classlabels_int64s = [7, 9]"""
_TREE5 = """tree_roots = [0], nodes_featureids = [0], nodes_splits = float[1] {0.2}, nodes_modes = uint8[1] {0},
    nodes_truenodeids = [0], nodes_falsenodeids = [1], nodes_trueleafs = [1], nodes_falseleafs = [1],
    leaf_targetids = [0, 1], leaf_weights = float[2] {0.37, -1.9}, n_targets = 2"""

ELEMENTS: list[Sample] = [
    sample("y = ai.onnx.ml.Binarizer<threshold = 0.3>(x)", 1, x=rows(2, 3, axis=1)),
    sample('y = ai.onnx.ml.LabelEncoder<keys_int64s = [0, 2], values_floats = [0.5, 1.5]>(x)', 1,
        x=ints(3, high=3, axis=1)),
    sample('y = ai.onnx.ml.LabelEncoder<classes_strings = ["a", "b", "c"]>(x)', 0, ml=1, x=ints(3, high=3)),
    sample('y = ai.onnx.ml.CategoryMapper<cats_int64s = [1, 2], cats_strings = ["a", "b"], default_string = "c">(x)', 0,
        x=ints(3)),
    sample("y = ai.onnx.ml.OneHotEncoder<cats_int64s = [0, 1, 2]>(x)", 0, x=ints(3)),
    sample("y = ai.onnx.ml.OneHotEncoder<cats_int64s = [0, 1, 2]>(x)", 0, x=ints()),
    sample("y = ai.onnx.ml.Scaler<scale = [0.3, 1.7, 2.9], offset = [0.1, -0.4, 2.0]>(x)", 0, x=_X),
    sample("y = ai.onnx.ml.Scaler<scale = [0.3, 1.7, 2.9], offset = [0.1, -0.4, 2.0]>(x)", 0, x=rows(3, 2)),
    sample("y = ai.onnx.ml.Scaler<scale = [0.3], offset = [0.1]>(x)", 0, x=rows()),
    sample("y = ai.onnx.ml.Scaler<scale = [0.3, 1.7, 2.9, 3.1, 0.2], offset = [0.1, 0.2, 0.3, 0.4, 0.5]>(x)", "mixed",
        x=rows(3, axis=1)),
    sample("y = ai.onnx.ml.Scaler<scale = [0.3, 1.7, 2.9, 3.1, 0.2], offset = [0.1, 0.2, 0.3, 0.4, 0.5]>(x)", "mixed",
        x=rows()),
    sample("y = ai.onnx.ml.Imputer<imputed_value_int64s = [7, 8, 9], replaced_value_int64 = 2>(x)", 0, x=ints(3)),
    sample("y = ai.onnx.ml.Imputer<imputed_value_int64s = [7], replaced_value_int64 = 2>(x)", 1, x=ints(3, axis=1)),
    sample("y = ai.onnx.ml.Imputer<imputed_value_int64s = [7, 8, 9, 6, 5], replaced_value_int64 = 2>(x)", "mixed",
        x=ints()),
]  # fmt: skip

EXAMPLES: list[Sample] = [
    *(sample(f'y = ai.onnx.ml.Normalizer<norm = "{norm}">(x)', 0, x=_X) for norm in ("MAX", "L1", "L2")),
    sample('y = ai.onnx.ml.Normalizer<norm = "L2">(x)', "mixed", x=rows(3, axis=1)),
    sample('y = ai.onnx.ml.Normalizer<norm = "L2">(x)', "mixed", x=rows()),  # a vector is one row
    sample(f'y = ai.onnx.ml.LinearRegressor<{_LINEAR}, targets = 2, post_transform = "SOFTMAX">(x)', 0, x=_X),
    sample("y = ai.onnx.ml.LinearRegressor<coefficients = [0.1, 0.2, 0.3, 0.4, 0.5]>(x)", "mixed", x=rows()),
    sample(f'y, z = ai.onnx.ml.LinearClassifier<{_LINEAR}, classlabels_ints = [3, 5]>(x)', {"y": 0, "z": 0}, x=_X),
    sample(f"y = ai.onnx.ml.SVMRegressor<{_SVM}, n_supports = 2>(x)", 0, x=_X),
    sample(f"y, z = ai.onnx.ml.SVMClassifier<{_SVM}, vectors_per_class = [1, 1], classlabels_ints = [3, 5]>(x)",
        {"y": 0, "z": 0}, x=_X),
    sample(f"y = ai.onnx.ml.TreeEnsembleRegressor<{_TREE}>(x)", 0, x=_X),
    sample(f"y = ai.onnx.ml.TreeEnsembleRegressor<{_TREE}>(x)", 0, ml=1, x=_X),
    sample(f"y, z = ai.onnx.ml.TreeEnsembleClassifier<{_FOREST}>(x)", {"y": 0, "z": 0}, x=_X),
    sample(f"y = ai.onnx.ml.TreeEnsemble<{_TREE5}>(x)", 0, ml=5, x=_X),
    sample("y = ai.onnx.ml.FeatureVectorizer<inputdimensions = [3, 2]>(x, z)", 0, x=_X, z=rows(2)),
    sample("y = ai.onnx.ml.FeatureVectorizer<inputdimensions = [3, 2]>(x, w)", "mixed", x=_X, w=weight(ROWS, 2)),
    sample("y = ai.onnx.ml.ArrayFeatureExtractor(x, i)", 0, x=rows(2, 4), i=literal([[3, 0]])),
    sample("y = ai.onnx.ml.ArrayFeatureExtractor(x, i)", "mixed", x=rows(), i=literal([3, 0])),
    sample("y = ai.onnx.ml.ArrayFeatureExtractor(x, i)", "mixed", x=rows(4), i=ints(high=3)),
]  # fmt: skip

SAMPLES = [*ELEMENTS, *EXAMPLES]
