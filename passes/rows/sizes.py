"""Symbolic sizes: integer polynomials over unknown sizes, with the batch size N as one distinguished unknown.

The row analysis needs to know that ``[N, 12, S, 64]`` reshaped to ``[-1, S, 64]`` has ``12·N`` leading
entries, that ``Concat(Shape(x)[0], 197, -1)`` begins with exactly N, and that ``Shape(mask)[0]`` is *not* N
unless the hypothesis says so. Equality of two sizes here is a proof that they are equal in every run; sizes
that cannot be shown equal are different.

What is not a polynomial (a rounding division, the output width of a convolution) becomes an *opaque* symbol,
interned by how it was computed: computed the same way from equal sizes, it is the same symbol.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, slots=True)
class Symbol:
    """An unknown integer that is fixed for one run. Compared by identity; made by :class:`Symbols`.

    Attributes:
        order: Position in the monomial order.
        text: How messages show it.
        batch: Whether its value may change with N. Symbols never depend on the data of a row.
        dimension: Whether it is certainly a non-negative integer (the size of some axis).
        integer: Whether it is certainly an integer.
    """

    order: int
    text: str
    batch: bool
    dimension: bool = True
    integer: bool = True


#: A product of symbols, sorted by their order; the empty product is 1.
Monomial = tuple[Symbol, ...]

#: Sums of more terms than this are not followed.
MAX_TERMS = 12


class Size:
    """An immutable polynomial with integer coefficients."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: dict[Monomial, int]) -> None:
        self.terms: dict[Monomial, int] = {m: c for m, c in terms.items() if c}
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for monomial, coefficient in other.terms.items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Size(terms)

    def __sub__(self, other: Size) -> Size:
        return self + other * const(-1)

    def __mul__(self, other: Size) -> Size:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                monomial = tuple(sorted(left + right, key=_order))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return Size(terms)

    def __repr__(self) -> str:
        if not self.terms:
            return "0"
        return " + ".join(_term_text(m, c) for m, c in self.terms.items())

    @property
    def value(self) -> int | None:
        """The number, when it is known."""
        if not self.terms:
            return 0
        return self.terms.get(()) if len(self.terms) == 1 else None

    @property
    def batch(self) -> bool:
        """Whether the value may change with N."""
        return any(symbol.batch for monomial in self.terms for symbol in monomial)

    @property
    def dimension(self) -> bool:
        """Whether the value is certainly non-negative."""
        return all(c > 0 and all(s.dimension for s in m) for m, c in self.terms.items())

    @property
    def integer(self) -> bool:
        """Whether the value is certainly an integer."""
        return all(symbol.integer for monomial in self.terms for symbol in monomial)

    def made_before(self, mark: int) -> bool:
        """Whether all its symbols are older than :attr:`Symbols.mark` was then."""
        return all(symbol.order < mark for monomial in self.terms for symbol in monomial)

    def sign(self) -> int | None:
        """Return 1, 0 or -1 when the sign is certain in every run, else None."""
        if not self.terms:
            return 0
        if self.dimension and self.terms.get((), 0) > 0:
            return 1
        flipped = self * const(-1)
        return -1 if flipped.dimension and flipped.terms.get((), 0) > 0 else None

    def block(self) -> Size | None:
        """Return b when the value is N·b with b not depending on N, else None."""
        quotient: dict[Monomial, int] = {}
        for monomial, coefficient in self.terms.items():
            if monomial.count(BATCH) != 1 or sum(s.batch for s in monomial) != 1:
                return None
            quotient[tuple(s for s in monomial if s is not BATCH)] = coefficient
        return Size(quotient) if quotient else None

    def divided_by(self, divisor: Size) -> Size | None:
        """Return q with ``q * divisor == self`` as polynomials, or None if there is no such polynomial."""
        if not divisor.terms or len(self.terms) > MAX_TERMS:
            return None
        lead = max(divisor.terms, key=_rank)
        rest, quotient = self, const(0)
        while rest.terms:
            top = max(rest.terms, key=_rank)
            factor = _without(top, lead)
            coefficient, remainder = divmod(rest.terms[top], divisor.terms[lead])
            if factor is None or remainder or len(quotient.terms) > MAX_TERMS:
                return None
            step = Size({factor: coefficient})
            quotient, rest = quotient + step, rest - step * divisor
        return quotient


def const(value: int) -> Size:
    """Return a known size."""
    return Size({(): int(value)})


def product(sizes: Iterable[Size]) -> Size:
    """Return the product of sizes (1 for none)."""
    result = ONE
    for size in sizes:
        result = result * size
    return result


@dataclass
class Symbols:
    """Makes the symbols of one proof and interns the opaque ones."""

    _opaque: dict[Hashable, Symbol] = field(default_factory=dict)
    _least: dict[Symbol, tuple[Size, Size]] = field(default_factory=dict)
    _met: dict[Symbol, tuple[Size, ...]] = field(default_factory=dict)

    def fresh(self, text: str, *, batch: bool = False, dimension: bool = True, integer: bool = True) -> Size:
        """Return a new unknown that is equal to nothing else."""
        symbol = Symbol(self._next, text, batch, dimension, integer or dimension)
        self._opaque[symbol] = symbol
        return Size({(symbol,): 1})

    def opaque(self, how: str, *parts: Size | int | str | None, dimension: bool = False) -> Size:
        """Return the unknown that function `how` gives for `parts`; equal parts give the equal size."""
        key = (how, parts)
        symbol = self._opaque.get(key)
        if symbol is None:
            sizes = [part for part in parts if isinstance(part, Size)]
            integer = dimension or all(size.integer for size in sizes)
            batch = any(size.batch for size in sizes)
            symbol = Symbol(self._next, f"{how}#{self._next}", batch, dimension, integer)
            self._opaque[key] = symbol
        return Size({(symbol,): 1})

    def least(self, a: Size, b: Size) -> Size:
        """Return the smaller one of two sizes of axes."""
        for small, large in ((a, b), (b, a)):
            if (large - small).dimension:
                return small
        result = self.opaque("least", *sorted((a, b), key=repr), dimension=True)
        self._least[next(iter(result.terms))[0]] = (a, b)
        return result

    def cut_to(self, size: Size, whole: Size) -> bool:
        """Return whether `size` is the smaller one of `whole` and of a size that is certainly not 0."""
        for symbol, (a, b) in self._least.items():
            if size == Size({(symbol,): 1}):
                return (a == whole and b.sign() == 1) or (b == whole and a.sign() == 1)
        return False

    def met(self, sizes: Iterable[Size]) -> Size:
        """Return the size of an axis on which sizes are broadcast that are not known to be equal."""
        parts = tuple(sorted(sizes, key=repr))
        result = self.opaque("broadcast", *parts, dimension=True)
        self._met[next(iter(result.terms))[0]] = parts
        return result

    def vanishes_with(self, size: Size, part: Size) -> bool:
        """Return whether `size` is certainly 0 in every run that succeeds and in which `part` is: 0 meets 0 and 1."""
        if size == part:
            return True
        parts = (p for symbol, found in self._met.items() if size == Size({(symbol,): 1}) for p in found)
        return any(self.vanishes_with(p, part) for p in parts)

    def rounded(self, how: str, part: Size, *parameters: int) -> Size:
        """Return the integer unknown that rounding `part` gives."""
        key = (how, part, parameters)
        symbol = self._opaque.get(key)
        if symbol is None:
            symbol = Symbol(self._next, f"{how}#{self._next}", part.batch, dimension=False)
            self._opaque[key] = symbol
        return Size({(symbol,): 1})

    @property
    def mark(self) -> int:
        """Symbols made from now on have at least this order."""
        return self._next

    @property
    def _next(self) -> int:
        return len(self._opaque) + 1


#: The number of rows. The only symbol shared by all proofs.
BATCH = Symbol(0, "N", batch=True)
N = Size({(BATCH,): 1})
ZERO = const(0)
ONE = const(1)


def _order(symbol: Symbol) -> int:
    return symbol.order


def _rank(monomial: Monomial) -> tuple[int, tuple[int, ...]]:
    """Graded lexicographic order: multiplying two monomials by a third keeps their order."""
    return len(monomial), tuple(-symbol.order for symbol in monomial)


def _without(monomial: Monomial, factor: Monomial) -> Monomial | None:
    left = list(monomial)
    for symbol in factor:
        if symbol not in left:
            return None
        left.remove(symbol)
    return tuple(left)


def _term_text(monomial: Monomial, coefficient: int) -> str:
    names = "·".join(symbol.text for symbol in monomial)
    if not names:
        return str(coefficient)
    return names if coefficient == 1 else f"{coefficient}·{names}"
