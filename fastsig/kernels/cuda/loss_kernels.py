"""The losses as CUDA kernels: one pass serves values, gradients, hessians and the sum. Twin of ``cext/reduce_real.h``.

A warp takes a block of 1,024 elements, in C order. Contiguous operands of the logits' type are read and written 16 bytes at a time;
any others, and the last, shorter block, one element at a time. The sum is the same, as it does not depend on which lane has which.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from numba.core import cgutils, types
from numba.extending import intrinsic

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda import sums, totals
from fastsig.kernels.cuda.elementwise_kernels import ADDRESS, WHOLE, Kernel
from fastsig.kernels.cuda.sums import WARP, PairwiseSum
from fastsig.kernels.cuda.tracing import NAMES as F
from fastsig.kernels.cuda.tracing import Traced
from fastsig.kernels.plan import BLOCK, FOCAL, LOGITS, PROBABILITIES, SUM_WORDS

NUMBERS = ("keep", "floor", "scale", "scale_lo", "alpha", "beta", "gamma", "gamma_lo")
"""The fields of ``plans.Numbers`` that a kernel takes; a whole gamma comes as ``power`` too, which is -1 for others."""
OUTPUTS = ("loss", "grad", "hess")


class Variant(NamedTuple):
    """What a kernel is compiled for."""

    formula: int
    sources: tuple[str, ...]
    """The element type of each operand: logits, targets, then the others that there are."""
    extras: tuple[str, ...]
    """Which others: "weight", "pos_weight", "mask"."""
    smooth: bool
    outputs: tuple[str, ...]
    out: str
    summed: bool
    scale: str
    """What the gradient is divided by: "" nothing, "number" what is passed, "count" the elements that count, which are on the device."""
    check: bool
    wide: bool
    dimensions: int
    narrow: bool

    @property
    def plain(self) -> bool:
        return self.formula == LOGITS and not self.extras and not self.smooth

    @property
    def name(self) -> str:
        return f"fastsig_loss_{hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:16]}"


class _Element:
    """The formulas of one element, on traced values."""

    def __init__(self, variant: Variant, builder: Any, numbers: dict[str, Any], power: Any) -> None:
        self.variant, self.builder, self.numbers, self.power = variant, builder, numbers, power
        self.real = el.real_type(variant.out)
        self.one = Traced(builder, self.real(1.0))

    def computed(self, words: list[Any]) -> dict[str, Any]:
        """The results, by name, from the words of the operands in memory."""
        v, builder, select = self.variant, self.builder, F["select"]
        given: dict[str, Any] = {}
        for name, source, word in zip(("x", "t", *v.extras), v.sources, words, strict=True):
            given[name] = Traced(builder, el.to_real(builder, word, source, self.real))
        x, t, weight = given["x"], given["t"], given.get("weight", self.one)
        if "mask" in given:  # a masked element is one of weight 0 at x = t = 0
            counts = given["mask"] == 1
            x, t, weight = select(counts, x, 0), select(counts, t, 0), select(counts, weight, 0)
        results = {LOGITS: self._logits, PROBABILITIES: self._probabilities, FOCAL: self._focal}.get(v.formula, self._weights)(
            x, t, weight, given
        )
        if v.check:
            results = self._spoiled(results, x, t, weight, given)
        if v.scale and "grad" in results:
            results["grad"] = F["scaled"](results["grad"], self.numbers["scale"], self.numbers["scale_lo"])
        return results

    def _spoiled(self, results: dict[str, Any], x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        """NaN where the host would raise: to raise, the host would have to wait for the device."""
        k, select = F["constants"](x), F["select"]
        checks = [(t, 1)] if self.variant.formula in (LOGITS, PROBABILITIES, FOCAL) else []
        checks += [(x, 1)] if self.variant.formula == PROBABILITIES else []
        checks += [(weight, k.greatest)] if "weight" in given else []
        checks += [(given["pos_weight"], k.greatest)] if "pos_weight" in given else []
        for value, most in checks:
            results = {name: select(value >= 0, select(value <= most, result, k.nan), k.nan) for name, result in results.items()}
        return results

    def _logits(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        v, n = self.variant, self.numbers
        pos, miss, both = t, F["sub"](1, t), self.one
        if not v.plain:
            miss = F["mul"](weight, F["smoothed"](miss, n["keep"], n["floor"]))
            pos = F["mul"](weight, F["smoothed"](t, n["keep"], n["floor"]))
            if "pos_weight" in given:
                pos = F["mul"](pos, given["pos_weight"])
            both = F["add"](pos, miss)
        z = F["exp_up"](F["absolute"](x))
        results = {}
        if v.summed or "loss" in v.outputs:
            results["loss"] = F["plain_loss"](x, z, pos, miss) if v.plain else F["weighted_loss"](x, z, pos, miss, both)
        if "grad" in v.outputs:
            results["grad"] = F["weighted_grad"](x, F["lesser_up"](z), pos, miss, both)
        if "hess" in v.outputs:
            results["hess"] = F["weighted_hess"](F["lesser_up"](z), both)
        return results

    def _probabilities(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {"loss": F["weighted"](F["bce"](x, t), weight)}

    def _weights(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {"loss": weight}

    def _focal(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        builder, n, mul, weighted = self.builder, self.numbers, F["mul"], F["weighted"]
        z = F["exp_up"](F["absolute"](x))
        w = mul(F["lesser_up"](z), F["constants"](z).down)
        loss = F["plain_loss"](x, z, t, F["sub"](1, t))
        share = mul(weight, F["focal_share"](t, n["alpha"], n["beta"]))
        m = F["focal_miss"](x, w, t)
        slots = {name: cgutils.alloca_once(builder, self.real) for name in ("grad", "loss")}

        def times(factor: Any) -> None:
            builder.store(mul(Traced(builder, builder.load(slots["grad"])), factor).code, slots["grad"])
            builder.store(weighted(Traced(builder, builder.load(slots["loss"])), factor).code, slots["loss"])

        builder.store(mul(share, F["focal_slope"](x, w, t, m, loss, n["gamma"])).code, slots["grad"])
        builder.store(weighted(loss, share).code, slots["loss"])
        with builder.if_then(builder.icmp_signed("<", self.power, el.I64(0))):
            times(F["focal_power"](x, z, t, m, n["gamma"], n["gamma_lo"]))
        with cgutils.for_range(builder, self.power, intp=el.I64):
            times(m)
        return {name: Traced(builder, builder.load(slot)) for name, slot in slots.items()}


class _Block:
    """One block of 1,024 elements by one warp: loads, elements, stores, and the sum."""

    def __init__(self, variant: Variant, builder: Any, values: Any, lanes: int) -> None:
        self.v, self.builder, self.lanes = variant, builder, lanes
        addresses, numbers, power, scale, self.first, self.lane, self.n, shape, steps = values
        found = el.members(builder, addresses, len(variant.sources) + len(variant.outputs))
        self.inputs, self.targets = found[: len(variant.sources)], found[len(variant.sources) :]
        real = el.real_type(variant.out)
        rounded = [el.as_real(builder, number, real) for number in el.members(builder, numbers, len(NUMBERS))]
        named = dict(zip(NUMBERS, (Traced(builder, number) for number in rounded), strict=True))
        if variant.scale == "count":
            named["scale"], named["scale_lo"] = (Traced(builder, number) for number in self._reciprocal(scale, real))
        self.element = _Element(variant, builder, named, power)
        self.shape = el.members(builder, shape, variant.dimensions)
        self.steps = [el.members(builder, step, variant.dimensions) for step in el.members(builder, steps, len(found))]
        self.with_errors = real == el.F64

    def _reciprocal(self, count: Any, real: Any) -> tuple[Any, Any]:
        """1/count as ``plans.reciprocal`` has it, for a count below 2^53; where nothing counts, 1."""
        builder, div = self.builder, F["div"]
        count = builder.select(builder.icmp_signed("==", count, el.I64(0)), el.I64(1), count)
        whole = Traced(builder, builder.sitofp(count, el.F64))
        one = Traced(builder, el.F64(1.0))
        head = el.as_real(builder, div(one, whole).code, real)
        wide = Traced(builder, el.as_real(builder, head, el.F64))
        rest = div(F["fma"](F["neg"](wide), whole, one), whole)  # the remainder of a division is exact
        return head, el.as_real(builder, rest.code, real)

    def run(self) -> Any:
        """The block's sum and the sum of its rounding errors, in lane 0."""
        builder, v = self.builder, self.v
        count = BLOCK // (WARP * self.lanes)
        pairwise = PairwiseSum(builder, count.bit_length() - 1, self.lanes, self.with_errors) if v.summed else None
        with cgutils.for_range(builder, el.I64(count), intp=el.I64) as loop:
            m = sums.reversed_bits(builder, loop.index, count.bit_length() - 1)
            place = builder.add(builder.mul(m, el.I64(WARP)), self.lane)
            terms = self._vector(place) if self.lanes > 1 else [self._single(place)]
            if pairwise is not None:
                pairwise.add(builder, loop.index, [(term, el.F64(0.0) if self.with_errors else None) for term in terms])
        if pairwise is None:
            return el.F64(0.0), el.F64(0.0)
        value, rest = sums.across_lanes(builder, pairwise.result(builder))
        return value, el.F64(0.0) if rest is None else rest

    def _term(self, results: dict[str, Any]) -> Any:
        return el.as_real(self.builder, results["loss"].code, el.F64) if self.v.summed else el.F64(0.0)

    def _vector(self, place: Any) -> list[Any]:
        builder, v = self.builder, self.v
        size = el.SIZES[v.out]
        at = builder.add(builder.mul(self.first, el.I64(size)), builder.mul(place, el.I64(el.VECTOR_BYTES)))
        loaded = [el.load_vector(builder, base, at, v.sources[0]) for base in self.inputs]
        results = [self.element.computed(list(words)) for words in zip(*loaded, strict=True)]
        for name, target in zip(v.outputs, self.targets, strict=True):
            el.store_vector(builder, target, at, [el.to_word(builder, result[name].code, v.out) for result in results], v.out)
        return [self._term(result) for result in results]

    def _single(self, place: Any) -> Any:
        """One element, or 0 behind the last."""
        builder, v = self.builder, self.v
        term = cgutils.alloca_once(builder, el.F64)
        builder.store(el.F64(0.0), term)
        index = builder.add(self.first, place)
        with builder.if_then(builder.icmp_signed("<", index, self.n)):
            offsets = el.byte_offsets(builder, index, self.shape, self.steps, v.narrow)
            read = zip(self.inputs, offsets, v.sources, strict=False)
            results = self.element.computed([el.load_at(builder, base, offset, source) for base, offset, source in read])
            written = zip(v.outputs, self.targets, offsets[len(v.sources) :], strict=True)
            for name, target, offset in written:
                el.store_at(builder, target, offset, el.to_word(builder, results[name].code, v.out), v.out)
            builder.store(self._term(results), term)
        return builder.load(term)


def _block_of(variant: Variant, lanes: int) -> Any:
    @intrinsic
    def block(
        typingctx: Any, addresses: Any, numbers: Any, power: Any, count: Any, total: Any, first: Any, lane: Any, n: Any,
        shape: Any, steps: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            found = _Block(variant, builder, [*values[:4], *values[5:]], lanes).run()
            if variant.summed:
                value, rest = found
                with builder.if_then(builder.icmp_signed("==", values[6], el.I64(0))):
                    sums.exact_add(builder, values[4], value)
                    finite = builder.fcmp_ordered("==", F["sub"](Traced(builder, value), Traced(builder, value)).code, el.F64(0.0))
                    with builder.if_then(builder.and_(finite, builder.fcmp_unordered("!=", rest, el.F64(0.0)))):
                        sums.exact_add(builder, values[4], rest)
            return context.get_dummy_value()

        return types.void(addresses, numbers, WHOLE, WHOLE, total, WHOLE, WHOLE, WHOLE, shape, steps), codegen

    return block


@intrinsic
def _copy_of(typingctx: Any, total: Any, copy: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return el.pointer_at(builder, values[0], builder.mul(values[1], el.I64(8 * SUM_WORDS)), el.I8)

    return ADDRESS(ADDRESS, WHOLE), codegen


def loss(variant: Variant) -> Kernel:
    """kernel(operands and outputs, numbers, power, counted, times, total, n, shape, steps); shape and steps as for strided kernels."""
    lanes = el.VECTOR_BYTES // el.SIZES[variant.out] if variant.wide else 1
    wide, single = _block_of(variant, lanes), _block_of(variant, 1)
    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid
    reads_count, is_wide = variant.scale == "count", variant.wide

    def kernel(addresses, numbers, power, counted, times, total, n, shape, steps):  # type: ignore[no-untyped-def]
        at = block() * threads() + thread()
        lane, warp, warps = at & (WARP - 1), at // WARP, threads() * blocks() // WARP
        count = totals.load_word(counted, 0) * times if reads_count else 1
        mine = _copy_of(total, warp % sums.COPIES)
        first, step = warp * BLOCK, warps * BLOCK
        if is_wide:
            while first + BLOCK <= n:
                wide(addresses, numbers, power, count, mine, first, lane, n, shape, steps)
                first += step
        while first < n:
            single(addresses, numbers, power, count, mine, first, lane, n, shape, steps)
            first += step

    operands = len(variant.sources) + len(variant.outputs)
    axes = types.UniTuple(WHOLE, variant.dimensions)
    numbers = types.UniTuple(types.float64, len(NUMBERS))
    arguments = (types.UniTuple(ADDRESS, operands), numbers, WHOLE, ADDRESS, WHOLE, ADDRESS, WHOLE, axes, types.UniTuple(axes, operands))
    return Kernel(variant.name, kernel, arguments, roomy=True)
