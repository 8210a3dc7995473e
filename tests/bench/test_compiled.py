"""What a compiled program does, read from its text: against programs whose cost is known by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.bench.compiled import Compiled, Copy, Cost
from dlx.bench.hlo import Shape

TEXT = """HloModule written_by_hand, is_scheduled=true

%sliced (data: u8[1000,8], row: s32[]) -> f32[8] {
  %data = u8[1000,8]{1,0} parameter(0)
  %row = s32[] parameter(1)
  %zero = s32[] constant(0)
  %one_row = u8[1,8]{1,0} dynamic-slice(%data, %row, %zero), dynamic_slice_sizes={1,8}
  ROOT %floats = f32[8]{0} convert(%one_row)
}

%noted (log: f32[50], value: f32[], at: s32[]) -> f32[50] {
  %log = f32[50]{0} parameter(0)
  %value = f32[] parameter(1)
  %at = s32[] parameter(2)
  %as_row = f32[1]{0} bitcast(%value)
  ROOT %updated = f32[50]{0} dynamic-update-slice(%log, %as_row, %at)
}

%step (state: (s32[], f32[8], u8[1000,8], f32[50])) -> (s32[], f32[8], u8[1000,8], f32[50]) {
  %state = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %w = f32[8]{0} get-tuple-element(%state), index=1
  %data = u8[1000,8]{1,0} get-tuple-element(%state), index=2
  %log = f32[50]{0} get-tuple-element(%state), index=3
  %x = f32[8]{0} fusion(%data, %i), kind=kLoop, calls=%sliced
  %loss = f32[] dot(%w, %x), lhs_contracting_dims={0}, rhs_contracting_dims={0}
  %kept = f32[8]{0} copy(%w)
  %logged = f32[50]{0} fusion(%log, %loss, %i), kind=kLoop, calls=%noted
  ROOT %next = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) tuple(%i, %kept, %data, %logged)
}

%below (state: (s32[], f32[8], u8[1000,8], f32[50])) -> pred[] {
  %state = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) parameter(0)
  %end = s32[] constant(50)
  %i = s32[] get-tuple-element(%state), index=0
  ROOT %go_on = pred[] compare(%i, %end), direction=LT
}

%epoch (state: (s32[], f32[8], u8[1000,8], f32[50])) -> (s32[], f32[8], u8[1000,8], f32[50]) {
  %state = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) parameter(0)
  %inner = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) while(%state), condition=%below, body=%step
  %log = f32[50]{0} get-tuple-element(%inner), index=3
  %fast = f32[50]{0:T(128)S(1)} negate(%log)
  %start = (f32[50]{0}, f32[50]{0:T(128)S(1)}, u32[]) copy-start(%fast)
  ROOT %out = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) tuple(%inner)
}

%patient (state: (s32[], f32[8], u8[1000,8], f32[50])) -> pred[] {
  %state = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) parameter(0)
  ROOT %unknown = pred[] custom-call(%state), custom_call_target="patience"
}

ENTRY %main (w: f32[8]) -> f32[8] {
  %w = f32[8]{0} parameter(0)
  %everywhere = f32[8]{0} all-reduce(%w), to_apply=%sum
  %epochs = (s32[], f32[8]{0}, u8[1000,8]{1,0}, f32[50]{0}) while(%everywhere), condition=%patient, body=%epoch
  ROOT %trained = f32[8]{0} get-tuple-element(%epochs), index=1
}
"""
WRITTEN = Compiled(TEXT)
STEP = Cost(kernels=4, bytes=(8 + 4 + 32) + (32 + 32 + 4) + (32 + 32) + (4 + 4 + 4), flops=16)


def test_a_step_reads_slices_and_writes_slices_and_counts_its_products():
    assert WRITTEN.cost("step") == STEP


def test_loops_count_their_rounds_and_those_of_unknown_length_as_many_as_they_are_said_to_make():
    once = Cost(kernels=1, bytes=64)
    epoch = STEP.times(50).plus(Cost(kernels=1, bytes=200 + 200))
    for rounds in (0, 1, 3):
        assert WRITTEN.cost(rounds=rounds) == once.plus(epoch.times(rounds))


def test_the_busiest_loop_is_that_of_the_steps_within_the_epochs():
    assert WRITTEN.busiest(20) == ("step", 50)


def test_copies_within_one_memory_and_exchanges_are_named():
    assert WRITTEN.copies("epoch") == [Copy(Shape("f32", (8,)), False)], "a copy into another memory is none"
    assert WRITTEN.collectives == ["all-reduce"]


BODY = """HloModule copies

%zeros () -> f32[6] {
  %nothing = f32[] constant(0)
  ROOT %filled = f32[6]{0} broadcast(%nothing), dimensions={}
}

%body (state: (f32[2], f32[3], f32[4])) -> (f32[2], f32[3], f32[4]) {
  %state = (f32[2]{0}, f32[3]{0}, f32[4]{0}) parameter(0)
  %w = f32[2]{0} get-tuple-element(%state), index=0
  %b = f32[3]{0} get-tuple-element(%state), index=1
  %data = f32[4]{0} get-tuple-element(%state), index=2
  %before = f32[1,2]{1,0} copy(%w)
  %new_w = f32[2]{0} negate(%before)
  %new_b = f32[3]{0} negate(%b)
  %again = f32[4]{0} copy(%data)
  %activation = f32[5]{0} custom-call(%again)
  %twice = f32[5]{0} copy(%activation)
  %both = (f32[7]{0}, f32[3]{0}) custom-call(%new_b)
  %error = f32[7]{0} get-tuple-element(%both), index=0
  %other = f32[7]{0} copy(%error)
  %half = f32[3]{0} get-tuple-element(%both), index=1
  %after = f32[3]{0} copy(%half)
  %fused = f32[6]{0} fusion(), kind=kLoop, calls=%zeros
  %gradient = f32[6]{0} copy(%fused)
  %data_later = f32[4]{0} bitcast(%data)
  ROOT %next = (f32[2]{0}, f32[3]{0}, f32[4]{0}) tuple(%new_w, %after, %data_later)
}
"""


def test_copies_tell_state_from_other_arrays_and_leave_out_fills():
    copies = {copy.shape.dims: copy.of_state for copy in Compiled(BODY).copies("body")}
    assert copies == {(1, 2): True, (3,): True, (4,): False, (5,): False, (7,): False}


PRODUCT = """HloModule library

ENTRY %main (x: f32[4,5,3], w: f32[4,7,3]) -> f32[4,5,7] {
  %x = f32[4,5,3]{2,1,0} parameter(0)
  %w = f32[4,7,3]{2,1,0} parameter(1)
  %call = (f32[4,5,7]{2,1,0}, s8[4194304]{0}) custom-call(%x, %w), custom_call_target="__cublas$lt$matmul", DIMENSIONS
  ROOT %product = f32[4,5,7]{2,1,0} get-tuple-element(%call), index=0
}
""".replace(
    "DIMENSIONS",
    'backend_config={"gemm_backend_config":{"beta":0,"dot_dimension_numbers":{"lhs_contracting_dimensions":["2"],'
    '"rhs_contracting_dimensions":["2"],"lhs_batch_dimensions":["0"],"rhs_batch_dimensions":["0"]}}}',
)


def test_a_product_by_a_library_counts_as_one_and_its_room_to_work_in_is_not_written():
    x, w, product = (4 * 5 * 3, 4 * 7 * 3, 4 * 5 * 7)
    assert Compiled(PRODUCT).cost() == Cost(kernels=1, bytes=4.0 * (x + w + product), flops=2.0 * product * 3)


@pytest.mark.parametrize("nets", [1, 4])
@pytest.mark.parametrize(("m", "k", "rounds"), [(3, 5, 1), (64, 32, 7)])
def test_products_of_a_compiled_program_are_those_by_hand(m, k, rounds, nets):
    def program(x, w):
        def patient(state):
            return (state[0] < 100) & (state[1].sum() > 1e9)

        def epoch(state):
            return state[0] + 1, jax.lax.fori_loop(0, 10, lambda _, x: jnp.tanh(x @ w), state[1])

        def train(scale):
            return jax.lax.while_loop(patient, epoch, (0, scale * x))

        return train(1) if nets == 1 else jax.lax.map(train, jnp.arange(nets))

    shapes = jax.ShapeDtypeStruct((m, k), np.float32), jax.ShapeDtypeStruct((k, k), np.float32)
    compiled = Compiled(jax.jit(program).lower(*shapes).compile().as_text())
    assert compiled.cost(rounds=rounds).flops == nets * rounds * 10 * 2 * m * k * k
    loop = compiled.busiest(rounds)
    assert loop.trips == 10
    assert compiled.cost(loop.body).flops == 2 * m * k * k
    assert compiled.cost(loop.body).bytes >= 4 * (k * k + 2 * m * k)
    assert compiled.collectives == []


@pytest.mark.parametrize(("dtype", "size"), [("f32", 24), ("u8", 6), ("pred", 6), ("bf16", 12), ("s4", 3), ("c64", 48)])
def test_bytes_of_a_shape(dtype, size):
    assert Shape(dtype, (2, 3)).bytes == size
    assert Shape(dtype, (2, 3), place=1).bytes == 0


def test_an_array_without_a_number_of_bits_has_no_bytes():
    assert Shape("token", ()).bytes == 0
