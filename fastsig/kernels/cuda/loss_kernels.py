"""The losses as CUDA kernels: one pass serves values, gradients, hessians and the sum. Twin of ``cext/reduce_real.h``.

A warp takes a block of 1,024 elements, in C order. Contiguous operands of the logits' type are read and written 16 bytes at a time;
any others, and the last, shorter block, one element at a time. The sum is exact, so it does not depend on which lane has which.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from numba.core import cgutils, types
from numba.extending import intrinsic

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda import sums, totals
from fastsig.kernels.cuda.elementwise_kernels import ADDRESS, WHOLE, Kernel
from fastsig.kernels.cuda.sums import WARP
from fastsig.kernels.cuda.tracing import NAMES as F
from fastsig.kernels.cuda.tracing import Traced
from fastsig.kernels.plan import BLOCK, FOCAL, LOGITS, PROBABILITIES, SUM_WORDS

NUMBERS = ("keep", "floor", "scale", "scale_lo", "alpha", "beta", "gamma", "gamma_lo")
"""The fields of ``plans.Numbers`` that a kernel takes; a whole gamma comes as ``power`` too, which is -1 for others."""
OUTPUTS = ("loss", "grad", "hess")
TOGETHER = 4
"""Rounds of a warp over a block whose operands are read, one element at a time, before they are computed with."""
ADDED = 2
"""Elements of which losses are added at once: with more, registers do not suffice."""
AHEAD = 2
"""Rounds between reading operands and computing with them."""
SHARE = 16
"""Blocks of threads for each multiprocessor: more would begin, and fill their registers, more often."""
RESIDENT = 2
"""Blocks of threads on a multiprocessor at once; with three, the registers do not suffice for float64, with two not for its focal loss."""


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
        checks += [(given["pos_weight"], 1 if self.variant.formula == FOCAL else k.greatest)] if "pos_weight" in given else []
        for value, most in checks:
            results = {name: select(value >= 0, select(value <= most, result, k.nan), k.nan) for name, result in results.items()}
        return results

    def _logits(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        v, n = self.variant, self.numbers
        pos, miss, both = t, F["sub"](1, t), self.one
        if not v.plain:
            miss = F["mul"](weight, F["smoothed"](miss, n["keep"], n["floor"]))
            pos = F["mul"](weight, F["smoothed"](t, n["keep"], n["floor"]))
            both = weight
            if "pos_weight" in given:
                pos = F["mul"](pos, given["pos_weight"])
                both = F["add"](pos, miss)
        p, q, s = F["exp_parts_up" if v.plain else "exp_parts_far"](F["absolute"](x))
        z = F["exp_of"](p, s)
        results = {}
        if v.summed or "loss" in v.outputs:
            results["loss"] = F["plain_loss"](x, z, pos, miss) if v.plain else F["weighted_loss"](x, z, pos, miss, both)
        if "grad" in v.outputs:
            results["grad"] = F["weighted_grad"](x, F["lesser_up"](q, s), pos, miss, both)
        if "hess" in v.outputs:
            results["hess"] = F["weighted_hess"](F["lesser_up"](q, s), both)
        return results

    def _probabilities(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {"loss": F["weighted"](F["bce"](x, t), weight)}

    def _weights(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {"loss": weight}

    def _focal(self, x: Any, t: Any, weight: Any, given: dict[str, Any]) -> dict[str, Any]:
        if "pos_weight" in given:  # alpha of each element
            weight = F["mul"](weight, F["focal_share"](t, given["pos_weight"], F["sub"](1, given["pos_weight"])))
        return self._focal_derivatives(x, t, weight) if "hess" in self.variant.outputs else self._focal_loss(x, t, weight)

    def _focal_loss(self, x: Any, t: Any, weight: Any) -> dict[str, Any]:
        product = F["focal_product"]
        p, q, s = F["exp_parts_up"](F["absolute"](x))
        f = self._focal_parts(x, t, weight, p, q, s)
        loss = F["counting"](f["loss"], f["share"])
        power = self._power(x, t, F["exp_of"](p, s), f)
        return {"grad": product(power["p"], power["p_lo"], f["slope"]), "loss": product(power["p"], power["p_lo"], loss)}

    def _focal_derivatives(self, x: Any, t: Any, weight: Any) -> dict[str, Any]:
        n, mul = self.numbers, F["mul"]
        p, q, s = F["exp_parts_far"](F["absolute"](x))
        f = self._focal_parts(x, t, weight, p, q, s)
        loss = F["focal_loss"](F["capped"](x), t, f["v"], f["v_lo"], 0)
        curve = F["focal_curve"](x, F["exp_of"](p, s), f["w_up"], t, f["m"], loss, n["gamma"])
        hess = F["weighed_up"](F["fma"](curve, f["more"], curve), f["share"])
        near, _, near_s = F["exp_parts_up"](F["absolute"](x))
        power = self._power(x, t, F["exp_of"](near, near_s), f, hess)
        grad = F["focal_product"](power["p"], power["p_lo"], f["slope"])
        return {"grad": grad, "hess": mul(power["hess"], F["unit_of"](f["share"]))}

    def _focal_parts(self, x: Any, t: Any, weight: Any, p: Any, q: Any, s: Any) -> dict[str, Any]:
        """What value and derivatives are made of, to be multiplied by the share and by m^gamma."""
        builder, n, mul = self.builder, self.numbers, F["mul"]
        w_up, w_rest = F["focal_lesser_up"](q, s)
        w = mul(w_up, F["constants"](x).down)
        v, v_lo = F["focal_log"](p, s, w)
        m = F["focal_miss"](x, w, t)
        rest = F["focal_miss_rest"](x, w, w_rest, t, m, v)
        is_whole = Traced(builder, builder.icmp_signed(">=", self.power, el.I64(0)))
        more = mul(F["select"](is_whole, n["gamma"], 0), rest)
        loss = F["focal_loss"](x, t, v, v_lo, more)
        slope = F["focal_slope"](x, w, w_rest, t, m, loss, n["gamma"], F["add"](more, rest))
        share = mul(weight, F["focal_share"](t, n["alpha"], n["beta"]))
        return {"v": v, "v_lo": v_lo, "w_up": w_up, "m": m, "loss": loss, "slope": slope, "share": share, "more": more}

    def _power(self, x: Any, t: Any, z: Any, f: dict[str, Any], hess: Any = None) -> dict[str, Any]:
        """The share times m^gamma as a pair, p and p_lo; and what a hessian is after it."""
        builder, n = self.builder, self.numbers
        begins = {"p": f["share"], "p_lo": Traced(builder, self.real(0.0))} | ({} if hess is None else {"hess": hess})
        slots = {name: cgutils.alloca_once_value(builder, value.code) for name, value in begins.items()}

        def now() -> dict[str, Any]:
            return {name: Traced(builder, builder.load(slot)) for name, slot in slots.items()}

        def times(factor: Any) -> None:
            before = now()
            after = dict(zip(("p", "p_lo"), F["focal_times"](before["p"], before["p_lo"], factor), strict=True))
            if hess is not None:
                after["hess"] = F["mul"](before["hess"], factor)
            for name, value in after.items():
                builder.store(value.code, slots[name])

        with builder.if_then(builder.icmp_signed("<", self.power, el.I64(0))):
            times(F["focal_power"](x, z, t, f["m"], n["gamma"], n["gamma_lo"]))
        with cgutils.for_range(builder, self.power, intp=el.I64):
            times(f["m"])
        return now()


class _Blocks:
    """Blocks of 1,024 elements by one warp: loads, elements, stores, and their sum."""

    def __init__(self, variant: Variant, builder: Any, values: Any, lanes: int) -> None:
        self.v, self.builder, self.lanes = variant, builder, lanes
        addresses, numbers, power, scale, self.total, self.lane, self.n, shape, steps = values
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
        self.rounds = BLOCK // (WARP * lanes)
        self.sum = sums.FoldedSum(builder, real, self.total) if variant.summed else None

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

    def whole(self, first: Any, step: Any) -> Any:
        """The blocks from ``first`` on, a step apart, that end before n; where the first one begins that does not.

        Operands are read AHEAD rounds before they are computed with, also those of the next block.
        """
        builder = self.builder
        stop = builder.sub(self.n, el.I64(BLOCK - 1))
        left = cgutils.alloca_once_value(builder, first)
        waiting = [el.Waiting(builder, self.inputs, self.v.sources[0]) for _ in range(AHEAD)]
        with builder.if_then(builder.icmp_signed("<", first, stop)):
            for k, vectors in enumerate(waiting):
                vectors.fetch(builder, self._bytes(first, el.I64(k)))
        with cgutils.for_range_slice(builder, first, stop, step, el.I64) as (here, _):
            following = builder.add(here, step)
            next_one = builder.select(builder.icmp_signed("<", following, stop), following, here)
            with cgutils.for_range(builder, el.I64(self.rounds), intp=el.I64) as loop:
                words = waiting[0].words(builder)
                for vectors, after in zip(waiting, waiting[1:], strict=False):
                    vectors.take(builder, after)
                ahead = builder.add(loop.index, el.I64(AHEAD))
                block = builder.select(builder.icmp_signed("<", ahead, el.I64(self.rounds)), here, next_one)
                waiting[-1].fetch(builder, self._bytes(block, builder.and_(ahead, el.I64(self.rounds - 1))))
                self._vector(words, self._bytes(here, loop.index))
            if self.sum is not None:
                self.sum.end_block()
            builder.store(following, left)
        if self.sum is not None:
            self.sum.finish(self.lane)
        return builder.load(left)

    def partly(self, first: Any) -> None:
        """One block, element by element, as far as there are any; each TOGETHER rounds are read before they are computed."""
        builder, v = self.builder, self.v
        kinds = [el.word_type(source) for source in v.sources]
        read = [[cgutils.alloca_once(builder, kind) for kind in kinds] for _ in range(TOGETHER)]
        with cgutils.for_range(builder, el.I64(self.rounds // TOGETHER), intp=el.I64) as loop:
            rounds = [builder.add(builder.mul(loop.index, el.I64(TOGETHER)), el.I64(u)) for u in range(TOGETHER)]
            elements = [builder.add(first, self._place(index)) for index in rounds]
            offsets = [self._read(index, slots) for index, slots in zip(elements, read, strict=True)]
            for index, slots, places in zip(elements, read, offsets, strict=True):
                self._single(index, [builder.load(slot) for slot in slots], places)
        if self.sum is not None:
            self.sum.end_block()
            self.sum.finish(self.lane)

    def _place(self, index: Any) -> Any:
        """Where this lane's elements of a round begin, in vectors."""
        return self.builder.add(self.builder.mul(index, el.I64(WARP)), self.lane)

    def _bytes(self, first: Any, index: Any) -> Any:
        builder = self.builder
        at = builder.mul(self._place(index), el.I64(el.VECTOR_BYTES))
        return builder.add(builder.mul(first, el.I64(el.SIZES[self.v.out])), at)

    def _vector(self, words: list[list[Any]], at: Any) -> None:
        builder, v = self.builder, self.v
        results: list[dict[str, Any]] = []
        for lane in zip(*words, strict=True):
            results.append(self.element.computed(list(lane)))
            if self.sum is not None and len(results) % ADDED == 0:
                self.sum.add([result["loss"].code for result in results[-ADDED:]])
        for name, target in zip(v.outputs, self.targets, strict=True):
            el.store_vector(builder, target, at, [result[name].code for result in results], v.out)

    def _read(self, index: Any, slots: list[Any]) -> list[Any]:
        """An element's operands into the slots, zeros behind the last element; where it lies in each operand and output."""
        builder = self.builder
        for slot in slots:
            builder.store(slot.type.pointee(0), slot)
        offsets = el.byte_offsets(builder, index, self.shape, self.steps, self.v.narrow)
        with builder.if_then(builder.icmp_signed("<", index, self.n)):
            for slot, base, offset, source in zip(slots, self.inputs, offsets, self.v.sources, strict=False):
                builder.store(el.load_at(builder, base, offset, source), slot)
        return offsets

    def _single(self, index: Any, words: list[Any], offsets: list[Any]) -> None:
        """One element, or none behind the last."""
        builder, v = self.builder, self.v
        results = self.element.computed(words)
        exists = builder.icmp_signed("<", index, self.n)
        with builder.if_then(exists):
            for name, target, offset in zip(v.outputs, self.targets, offsets[len(v.sources) :], strict=True):
                el.store_at(builder, target, offset, el.to_word(builder, results[name].code, v.out), v.out)
        if self.sum is not None:
            loss = results["loss"].code
            self.sum.add([builder.select(exists, loss, loss.type(0.0))])


def _whole_blocks(variant: Variant) -> Any:
    @intrinsic
    def blocks(
        typingctx: Any, addresses: Any, numbers: Any, power: Any, count: Any, total: Any, lane: Any, n: Any, shape: Any, steps: Any,
        first: Any, step: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            lanes = el.VECTOR_BYTES // el.SIZES[variant.out]
            return _Blocks(variant, builder, values[:-2], lanes).whole(*values[-2:])

        return WHOLE(addresses, numbers, WHOLE, WHOLE, total, WHOLE, WHOLE, shape, steps, WHOLE, WHOLE), codegen

    return blocks


def _partial_block(variant: Variant) -> Any:
    @intrinsic
    def block(
        typingctx: Any, addresses: Any, numbers: Any, power: Any, count: Any, total: Any, lane: Any, n: Any, shape: Any, steps: Any,
        first: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _Blocks(variant, builder, values[:-1], 1).partly(values[-1])
            return context.get_dummy_value()

        return types.void(addresses, numbers, WHOLE, WHOLE, total, WHOLE, WHOLE, shape, steps, WHOLE), codegen

    return block


@intrinsic
def _copy_of(typingctx: Any, total: Any, copy: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return el.pointer_at(builder, values[0], builder.mul(values[1], el.I64(8 * SUM_WORDS)), el.I8)

    return ADDRESS(ADDRESS, WHOLE), codegen


def loss(variant: Variant) -> Kernel:
    """kernel(operands and outputs, numbers, power, counted, times, total, n, shape, steps); shape and steps as for strided kernels."""
    whole, partly = _whole_blocks(variant), _partial_block(variant)
    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid
    reads_count, is_wide = variant.scale == "count", variant.wide

    def kernel(addresses, numbers, power, counted, times, total, n, shape, steps):  # type: ignore[no-untyped-def]
        at = block() * threads() + thread()
        lane, warp, warps = at & (WARP - 1), at // WARP, threads() * blocks() // WARP
        count = totals.load_word(counted, 0) * times if reads_count else 1
        mine = _copy_of(total, warp % sums.COPIES)
        first, step = warp * BLOCK, warps * BLOCK
        if is_wide:
            first = whole(addresses, numbers, power, count, mine, lane, n, shape, steps, first, step)
        while first < n:
            partly(addresses, numbers, power, count, mine, lane, n, shape, steps, first)
            first += step

    operands = len(variant.sources) + len(variant.outputs)
    axes = types.UniTuple(WHOLE, variant.dimensions)
    numbers = types.UniTuple(types.float64, len(NUMBERS))
    arguments = (types.UniTuple(ADDRESS, operands), numbers, WHOLE, ADDRESS, WHOLE, ADDRESS, WHOLE, axes, types.UniTuple(axes, operands))
    spills = variant.formula == FOCAL and variant.out == "f64"
    return Kernel(variant.name, kernel, arguments, resident=1 if spills else RESIDENT)
