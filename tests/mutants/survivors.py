"""Mutants that no test can or need notice, each looked at by a person, with the reason.

A mutant is known by its file, the function around it and the change, as ``make mutants`` prints them. An entry whose
mutant is gone, or is killed now, is told at the end of a run: take it out.
"""

from __future__ import annotations

_LEAVES = "what the closure of a computed constant leaves out is a leaf of it, and adds its own digest"
_NO_MAPS = "these messages have no map, whose order alone is left open without it"

_NO_RANK = (
    "a value of unknown rank has no rows; and a rule that fails where nothing has rows leaves what this returns: a "
    "value that is the same for all rows, without sizes"
)
_FROM_THE_END = "Python counts a negative position from the end, which is the same place"
_OF_ALL_ITERATIONS = (
    "sizes that are equal in each iteration are equal in what is stacked up, and nothing else behind the loop has them"
)

#: (path, scope, change) → why it is the same program for its users, or not worth a test.
REVIEWED: dict[tuple[str, str, str], str] = {
    (
        "passes/graph/node_purity.py",
        "impurity",
        "0 → 1",
    ): "the version of a domain that is not imported: 0 and 1 are both below 7",
    (
        "passes/graph/node_purity.py",
        "_dropout_may_train",
        "0 → 1",
    ): "as above: versions 0 and 1 of the default domain are below 7",
    ("passes/identity/fingerprint.py", "fingerprint", "if name → if True"): (
        "an output that is left out gets a number that only an input that is left out would be given, and whether an "
        "output is there is in the fingerprint anyway"
    ),
    ("passes/identity/fingerprint.py", "canonical_walk", "if index not in state → if True"): (
        "when a node is seen for the second time nothing it waits for is left, so nothing is put on the stack again"
    ),
    ("passes/identity/fingerprint.py", "_Scope", "0 → 1"): "where the count of depths begins does not matter",
    ("passes/identity/fingerprint.py", "_add", "8 → 9"): "nine bytes frame a length as well as eight",
    (
        "passes/identity/fingerprint.py",
        "_add_node",
        "0 → 1",
    ): "the version of a domain that is not imported: onnxruntime loads no such model",
    ("passes/identity/fingerprint.py", "_add_attribute", "True → False"): _NO_MAPS,
    ("passes/identity/fingerprint.py", "_add_body", "True → False"): _NO_MAPS,
    (
        "passes/identity/fingerprint.py",
        "_add_body",
        "scope.depth + 1 → scope.depth - 1",
    ): "each depth still has a number of its own",
    (
        "passes/identity/fingerprint.py",
        "_add_body",
        "if name → if True",
    ): "as in fingerprint: only an input that is left out would be given the number",
    **{
        ("passes/identity/fingerprint.py", "_constant_closure", change): _LEAVES
        for change in (
            "if producer is not None and producer not in found → if False",
            "producer not in found → producer in found",
            "found.add(producer) → pass",
            "stack.append(producer) → pass",
        )
    },
    (
        "custom_ops/src/units/key_parts.cc",
        "no rank",
        "static_cast<std::int64_t>(tensor.dims.size())}; → 0};",
    ): ("the sizes are framed by their number, which is the rank"),
    (
        "custom_ops/src/units/equal_keys.h",
        "batches of the wrong size go through the table",
        "if (keys.size() <= kLinear) return; → if (keys.size() <= kLinear + 64) return;",
    ): "both ways find the same; which one is quicker is for benchmarks",
    (
        "custom_ops/src/units/compare.cc",
        "integers may differ a little",
        "difference_ = std::numeric_limits<double>::infinity(); } } → difference_ = 1e-9; } }",
    ): "the difference is divided by the largest magnitude, which is 0 for integers: infinity all the same",
    (
        "custom_ops/src/units/size_equations.cc",
        "an equation that is cut off",
        "static_cast<std::uint64_t>(flat[at]) > (left - 2) / 2 → false",
    ): "it reads behind the attribute: the tests with AddressSanitizer notice, and no other can for certain",
    (
        "custom_ops/src/store/shard.cc",
        "an entry in use is not marked",
        "entry->Set(Entry::kUsed, true); → nothing",
    ): (
        "kUsed is looked at only for an entry that was chosen to leave: another thread has to find it in "
        "that moment, and one more use than the policy knows of is lost, never a value"
    ),
    (
        "custom_ops/src/store/store.cc",
        "a fresh entry is removed for an expired one",
        "found.Expired(now_ns); }); → true || found.Expired(now_ns); });",
    ): "another thread has to store the key anew between the look and the removal; a value that is as good is lost",
    (
        "custom_ops/src/store/eviction.cc",
        "entries in use are chosen",
        "if (entry->idle()) { → if (true) {",
    ): "Drop() looks again under the shard's lock, and puts them among those in use: one more round, the same result",
    (
        "custom_ops/src/hash/secret.cc",
        "part of a secret is taken for all of it",
        "size -= static_cast<std::size_t>(got); } return true; → size = 0; } return true;",
    ): "systems give so few bytes at once",
    (
        "custom_ops/src/config/config.cc",
        "a lock is left out",
        ": memory_bytes_(memory_bytes), apply_(std::move(apply)) { const MutexLock lock(&mutex_); → : "
        "memory_bytes_(memory_bytes), apply_(std::move(apply)) {",
    ): "no other thread knows the object while it is made, and the analysis leaves constructors out",
    (
        "passes/rows/rules_attention.py",
        "rows_first",
        "if row is None or rank is None → if False",
    ): "a rule that fails where nothing has rows leaves a value that is the same for all rows, without sizes: this one",
    (
        "passes/rows/rules_attention.py",
        "_attention_shapes",
        "4 → 5",
    ): "both caches of Attention are given or none, and are as long",
    (
        "passes/rows/rules_attention.py",
        "tensor_scatter",
        "0 → 1 #5",
    ): "what is written has as many axes as what it is written to",
    (
        "passes/rows/rules_elementwise.py",
        "_larger.choose",
        "1 → 0 #2",
    ): "a difference that is certainly positive is a size, and was seen to be one before",
    ("passes/rows/rules_ml.py", "per_feature", "2 → 3"): "all numbers but 1 mean the same",
    (
        "passes/rows/rules_normalise.py",
        "batch_normalization",
        "op.opset < 9 → op.opset <= 9",
    ): "version 9 has no attribute spatial any more",
    ("passes/rows/rules_reduce.py", "lp_normalization", "if x.shape is None → if False"): _NO_RANK,
    ("passes/rows/rules_reduce.py", "mean_variance_normalization", "if x.shape is None → if False"): _NO_RANK,
    ("passes/rows/rules_shape.py", "transpose", "if x.shape is None → if False"): _NO_RANK,
    (
        "passes/rows/rules_state_space.py",
        "causal_conv",
        "None if x.shape is None else len(x.shape) → None if False else len(x.shape)",
    ): _NO_RANK,
    (
        "passes/rows/rules_select.py",
        "_end",
        "None if step is not None and step < 0 and (end is not None) and (en... → None if False else end",
    ): "Python, too, takes an end so far below every index for the front",
    ("passes/rows/rules_select.py", "pad", "place + len(axes) → place - len(axes)"): _FROM_THE_END,
    ("passes/rows/rules_select.py", "pad", "place + len(axes) → place - len(axes) #2"): _FROM_THE_END,
    (
        "passes/rows/rules_shape.py",
        "flatten",
        "len(x.shape) if axis < 0 else 0 → len(x.shape) if False else 0",
    ): _FROM_THE_END,
    (
        "passes/rows/rules_shape.py",
        "target_sizes",
        "if unknown → if True",
    ): "where no size is unknown, there is none to be filled in",
    ("passes/rows/rules_spatial.py", "_transposed_space", "a + count → a - count"): _FROM_THE_END,
    (
        "passes/rows/rules_reduce.py",
        "top_k",
        "2 → 3",
    ): "of more values than the node has outputs only the first are taken",
    ("passes/rows/sizes.py", "Size.dimension", "c > 0 → c >= 0"): "terms whose coefficient is 0 are left out",
    ("passes/rows/sizes.py", "Size.__hash__", "if self._hash is None → if True"): "only slower",
    **{
        ("passes/rows/sizes.py", "Size.made_before", change): _OF_ALL_ITERATIONS
        for change in (
            "symbol.order < mark → symbol.order <= mark",
            "all((symbol.order < mark for monomial in self.terms for symbol in m... → any((symbol.order < mark for "
            "monomial in self.terms for symbol in m...",
        )
    },
    (
        "passes/rows/loops.py",
        "_stacked",
        "size if size.made_before(mark) else op.symbols.fresh('?', batch=siz... → size if True else op.symbols.fresh("
        "'?', batch=size.batch)",
    ): _OF_ALL_ITERATIONS,
    **{
        ("passes/rows/loops.py", "_after", change): (
            "a size that differs between iterations is a symbol of its own, which no other value behind the loop has"
        )
        for change in (
            "if value.shape is None or not one.open_axes → if True",
            "symbols.fresh('?', batch=batch) if a in one.open_axes else s → symbols.fresh('?', batch=batch) if False "
            "else s",
        )
    },
    (
        "passes/rows/loops.py",
        "_certain",
        "all((element == ONE for element in condition.content.flat)) → any((element == ONE for element in "
        "condition.content.flat))",
    ): "a condition has one element: with any other number no run gets past it",
    ("passes/rows/loops.py", "_slice", "state.axis > axis → state.axis >= axis"): (
        "slices of the axis of the rows are refused before"
    ),
    ("passes/rows/analysis.py", "Interpreter.rest", "0 → 1"): "both branches give values to the same names",
    ("passes/rows/analysis.py", "Interpreter.bind", "if name → if True"): "nothing reads a tensor without a name",
    (
        "passes/rows/analysis.py",
        "Interpreter.node",
        "1 → 0",
    ): "the version of a domain that is not imported: onnxruntime loads no such model",
    ("passes/rows/broadcasting.py", "labelled", "0 → 1"): "any axis will do: the one in the result is set below",
    ("passes/rows/named_sizes.py", "NamedSizes.equations", "if not name.single → if True"): (
        "a sum with a part that is there is refused or checked before it is asked what is not there"
    ),
    ("passes/rows/registry.py", "", "20 → 21"): "no node has so many inputs",
    ("passes/rows/rules_spatial.py", "batch_first", "return x.row → return None"): (
        "what is returned is looked at only where the rank is unknown, and then there are no rows"
    ),
    (
        "passes/rows/rules_shape.py",
        "_repeated",
        "if op.need(0).state == BATCH_SIZE and op.node.op_type != 'ConstantO... → if False",
    ): "of the operators that ask, only ConstantOfShape may be given the number of rows at all",
}
