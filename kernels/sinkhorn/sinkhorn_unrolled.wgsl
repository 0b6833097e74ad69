// Semi-relaxed entropic optimal transport in the linear domain, for a batch of
// small problems of one size; the same iteration as sinkhorn.wgsl.
//
// A line that holds {i} stands for one line per row, {j} for one per column,
// both for one per cell: expand_lines.ts writes them out. All of a problem is
// then in scalars, which compilers keep in registers or next to them, where an
// array would be gathered from memory.
//
// One invocation solves one problem. With the potentials absorbed into
// k_ij = 2^(f_i + g_j - c_ij), in units of eps / log2(e), the iteration is
//
//   v_j = (t_j / sum_i k_ij u_i)^rho    t_j = b_j 2^(-g_j (1 - rho) / rho)
//   u_i = a_i / sum_j k_ij v_j          rho = tau / (tau + eps)
//
// Schmitzer 2019, arXiv:1610.06519, Sec. 3.2 (absorption), with the relaxation
// of Chizat et al. 2018, arXiv:1607.05816. An iteration of which a scaling
// would leave [1 / BOUND, BOUND], or a product of two GROWTH, is done in the log
// domain instead, which absorbs both scalings and is exact.
//
// Cells of k below 2^CUT of their row's largest are 0: they hold less than
// 2^CUT GROWTH = 1e-8 of the row, and would be subnormal numbers, on which a CPU
// takes a hundred times as long. A row or column with less mass than LITTLE
// is only kept from growing beyond that until the next absorption.
//
// Log and linear iterations are loops one inside the other, as a driver for
// CPUs runs both sides of an if, with the lanes that are not meant switched off.
// Lanes that wait for an absorption wait until the last of their group needs one:
// after LINEAR iterations all take it.
//
// WGSL lets a compiler assume no infinities, so a zero marginal is not log 0
// but a potential pinned to ABSENT, which exp2() takes to exactly 0.

override ROWS: u32;
override COLS: u32;
override ITERATIONS: u32;
override ITERATIONS_PER_PASS: u32;
override WORKGROUP: u32;
override WITH_PLAN: bool;
override LOG2E_OVER_EPSILON: f32;
override RELAXATION: f32; // rho
override THRESHOLD: f32;

const ABSENT: f32 = -1e30;
const LEAST_MASS: f32 = 1e-37; // less counts as 0: f32's subnormals begin at 1.2e-38
const LITTLE: f32 = 1e-20;
const BOUND: f32 = 1e12;
const GROWTH: f32 = 1e16;
const FLOOR: f32 = 1e-13; // least ratio of a sum to its target: below 1 / BOUND
const CUT: f32 = -80.0;
const LINEAR: u32 = 10;

@group(0) @binding(0) var<storage, read> cost: array<f32>;                 // [B, ROWS, COLS]
@group(0) @binding(1) var<storage, read> a: array<f32>;                    // [B, ROWS]
@group(0) @binding(2) var<storage, read> b: array<f32>;                    // [B, COLS]
@group(0) @binding(3) var<storage, read_write> potential: array<f32>;      // [B, COLS], g between passes
@group(0) @binding(4) var<storage, read_write> column_sums: array<f32>;    // [B, COLS]
@group(0) @binding(5) var<storage, read_write> marginal_error: array<f32>; // [B]
@group(0) @binding(6) var<storage, read_write> iterations: array<f32>;     // [B]
@group(0) @binding(7) var<storage, read_write> plan: array<f32>;           // [B, ROWS, COLS], or [B] if not asked for

var<private> c_{i}_{j}: f32; // cost above the row's least
var<private> k_{i}_{j}: f32;
var<private> a_{i}: f32;
var<private> f_{i}: f32;     // potentials, without u and v
var<private> g_{j}: f32;
var<private> u_{i}: f32;     // scalings since the last absorption
var<private> v_{j}: f32;
var<private> s_{i}: f32;     // a, but at least LITTLE
var<private> t_{j}: f32;
var<private> b_{j}: f32;
var<private> least_row_{i}: f32;
var<private> least_column_{j}: f32;

struct Progress { error: f32, iteration: u32 }

fn relax(ratio: f32) -> f32 {
  if (RELAXATION == 1.0) { return ratio; }
  if (RELAXATION == 0.5) { return sqrt(ratio); }
  return exp2(RELAXATION * log2(ratio));
}

// An iteration in the log domain, which absorbs the scalings: first its columns.
fn absorb_columns() {
  f_{i} = select(ABSENT, f_{i} + log2(u_{i}), f_{i} > ABSENT);
  var top_{j} = ABSENT;
  top_{j} = max(top_{j}, f_{i} - c_{i}_{j});
  var column_{j} = 0.0;
  column_{j} += exp2(max(f_{i} - c_{i}_{j} - top_{j}, CUT));
  let next_{j} = RELAXATION * (log2(b_{j}) - top_{j} - log2(column_{j}));
  g_{j} = select(ABSENT, next_{j}, g_{j} > ABSENT);
}

// Then its rows, from g alone. Returns the L1 distance of the row sums from a.
fn absorb_rows() -> f32 {
  let target_{j} = column_target(b_{j}, g_{j});
  t_{j} = max(target_{j}, LITTLE);
  least_column_{j} = select(LITTLE, target_{j} * FLOOR, target_{j} >= LITTLE);
  v_{j} = 1.0;

  var near_{i} = ABSENT;
  near_{i} = max(near_{i}, g_{j} - c_{i}_{j});
  var row_{i} = 0.0;
  let x_{i}_{j} = g_{j} - c_{i}_{j} - near_{i};
  k_{i}_{j} = select(0.0, exp2(max(x_{i}_{j}, CUT)), x_{i}_{j} > CUT);
  row_{i} += k_{i}_{j};
  let lse_{i} = near_{i} + log2(row_{i});
  let before_{i} = exp2(clamp(f_{i} + lse_{i}, -126.0, 126.0));
  var error = 0.0;
  error += select(0.0, abs(before_{i} - a_{i}), f_{i} > ABSENT);
  let scale_{i} = select(0.0, a_{i} / row_{i}, f_{i} > ABSENT);
  k_{i}_{j} *= scale_{i};
  f_{i} = select(ABSENT, log2(a_{i}) - lse_{i}, f_{i} > ABSENT);
  u_{i} = 1.0;
  return error;
}

// The mass a column would scale to, were it balanced.
fn column_target(mass: f32, g: f32) -> f32 {
  if (RELAXATION == 0.0) { return 0.0; }
  if (RELAXATION == 1.0) { return mass; }
  let exponent = log2(mass) - g * (1.0 - RELAXATION) / RELAXATION;
  return select(0.0, exp2(clamp(exponent, -120.0, 64.0)), g > ABSENT);
}

// Iterate linearly, from the error of the iteration before, until a scaling
// leaves its bounds or the last iteration is done.
fn scale(error_before: f32, iteration_before: u32, last: u32) -> Progress {
  var error = error_before;
  var iteration = iteration_before;
  loop {
    if (iteration >= last || error <= THRESHOLD) { break; }
    var low = 1.0;
    var high = 1.0;
    var most = 1.0;
    var column_{j} = 0.0;
    column_{j} += k_{i}_{j} * u_{i};
    let ratio_{j} = t_{j} / max(column_{j}, least_column_{j});
    low = min(low, ratio_{j});
    high = max(high, ratio_{j});
    let v_next_{j} = relax(ratio_{j});
    var row_{i} = 0.0;
    row_{i} += k_{i}_{j} * v_next_{j};
    let u_next_{i} = s_{i} / max(row_{i}, least_row_{i});
    low = min(low, u_next_{i});
    most = max(most, u_next_{i});
    if (low < 1.0 / BOUND || max(high, most) > BOUND || high * most > GROWTH) { break; }
    error = 0.0;
    error += abs(u_{i} - u_next_{i}) * row_{i};
    v_{j} = v_next_{j};
    u_{i} = u_next_{i};
    iteration++;
  }
  return Progress(error, iteration);
}

// Load a problem; false if a side has no mass.
fn prepare(problem: u32) -> bool {
  a_{i} = a[problem * ROWS + {i}];
  s_{i} = max(a_{i}, LITTLE);
  least_row_{i} = select(LITTLE, a_{i} * FLOOR, a_{i} >= LITTLE);
  b_{j} = b[problem * COLS + {j}];
  var has_rows = false;
  has_rows |= a_{i} >= LEAST_MASS;
  f_{i} = select(ABSENT, 0.0, a_{i} >= LEAST_MASS);
  u_{i} = 1.0;
  var has_columns = false;
  has_columns |= b_{j} >= LEAST_MASS;
  g_{j} = select(ABSENT, potential[problem * COLS + {j}], b_{j} >= LEAST_MASS);
  c_{i}_{j} = cost[(problem * ROWS + {i}) * COLS + {j}];
  var least_{i} = -ABSENT;
  least_{i} = select(least_{i}, min(least_{i}, c_{i}_{j}), g_{j} > ABSENT);
  c_{i}_{j} = (c_{i}_{j} - least_{i}) * LOG2E_OVER_EPSILON;
  return has_rows && has_columns;
}

fn write_plan(problem: u32) {
  var sum_{j} = 0.0;
  k_{i}_{j} *= u_{i} * v_{j};
  sum_{j} += k_{i}_{j};
  column_sums[problem * COLS + {j}] = sum_{j};
  potential[problem * COLS + {j}] = select(ABSENT, g_{j} + log2(v_{j}), g_{j} > ABSENT);
  if (WITH_PLAN) {
    plan[(problem * ROWS + {i}) * COLS + {j}] = k_{i}_{j};
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let problem = global.x;
  if (problem >= arrayLength(&marginal_error)) { return; }

  let before = u32(iterations[problem]);
  var error = marginal_error[problem];
  if (before > 0u && (error <= THRESHOLD || before >= ITERATIONS)) { return; }

  if (!prepare(problem)) {
    error = 0.0;
    error += a_{i};
    marginal_error[problem] = error;
    return;
  }
  let last = min(ITERATIONS, before + ITERATIONS_PER_PASS);
  absorb_rows();
  var now = Progress(-ABSENT, before);
  loop {
    now = scale(now.error, now.iteration, min(last, now.iteration + LINEAR));
    if (now.iteration >= last || now.error <= THRESHOLD) { break; }
    absorb_columns();
    now = Progress(absorb_rows(), now.iteration + 1);
    if (now.iteration >= last || now.error <= THRESHOLD) { break; }
  }
  marginal_error[problem] = now.error;
  iterations[problem] = f32(now.iteration);
  write_plan(problem);
}
