// Semi-relaxed entropic optimal transport, log domain, for a batch of small
// problems:
//
//   min <C, P> - eps H(P) + tau KL(P^T 1 || b)  subject to  P 1 = a
//
//   g_j = tau / (tau + eps) * eps (log b_j - LSE_i((f_i - C_ij) / eps))
//   f_i = eps (log a_i - LSE_j((g_j - C_ij) / eps))
//
// Chizat et al. 2018, arXiv:1607.05816, Alg. 1.
//
// One invocation solves one problem, so nobody waits at a barrier. Its
// potentials are private arrays, which compilers keep in registers where they
// can unroll the loops: hence a fixed MAX_POINTS for ROWS and COLS.
//
// A call is several passes of at most ITERATIONS_PER_PASS iterations, since
// Mesa's software driver leaves all loops of an invocation after 65,535 rounds,
// silently, and others reset the device. g is what a pass hands to the next.
//
// Potentials are in units of eps / log2(e), so that every exponential is an
// exp2. Each row of C is taken relative to its minimum, which only moves f_i:
// what matters then is small, and f32 holds it, with costs of 16 / eps = 480.
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
override RELAXATION: f32; // tau / (tau + eps)
override THRESHOLD: f32;

const MAX_POINTS = 128;
const ABSENT: f32 = -1e30;
const LEAST_MASS: f32 = 1e-37; // less counts as 0: f32's subnormals begin at 1.2e-38

@group(0) @binding(0) var<storage, read> cost: array<f32>;                 // [B, ROWS, COLS]
@group(0) @binding(1) var<storage, read> a: array<f32>;                    // [B, ROWS]
@group(0) @binding(2) var<storage, read> b: array<f32>;                    // [B, COLS]
@group(0) @binding(3) var<storage, read_write> potential: array<f32>;      // [B, COLS], g between passes
@group(0) @binding(4) var<storage, read_write> column_sums: array<f32>;    // [B, COLS]
@group(0) @binding(5) var<storage, read_write> marginal_error: array<f32>; // [B]
@group(0) @binding(6) var<storage, read_write> iterations: array<f32>;     // [B]
@group(0) @binding(7) var<storage, read_write> plan: array<f32>;           // [B, ROWS, COLS], or [B] if not asked for

var<private> f: array<f32, MAX_POINTS>;
var<private> g: array<f32, MAX_POINTS>;
var<private> nearest: array<f32, MAX_POINTS>; // the least cost of each row

// 2^top * sum is the sum so far.
struct LogSum { top: f32, sum: f32 }

fn add(total: LogSum, term: f32) -> LogSum {
  let top = max(total.top, term);
  return LogSum(top, total.sum * exp2(total.top - top) + exp2(term - top));
}

// exp2 of this plus both potentials is P_ij.
fn score(problem: u32, i: u32, j: u32) -> f32 {
  let c = cost[(problem * ROWS + i) * COLS + j];
  return (nearest[i] - c) * LOG2E_OVER_EPSILON;
}

// Set f; returns the L1 distance of the row sums before it from a.
fn update_f(problem: u32) -> f32 {
  var error = 0.0;
  for (var i = 0u; i < ROWS; i++) {
    let mass = a[problem * ROWS + i];
    if (mass < LEAST_MASS) { continue; }
    var total = LogSum(ABSENT, 0.0);
    for (var j = 0u; j < COLS; j++) {
      total = add(total, g[j] + score(problem, i, j));
    }
    let lse = total.top + log2(total.sum);
    error += abs(exp2(clamp(f[i] + lse, -126.0, 126.0)) - mass);
    f[i] = log2(mass) - lse;
  }
  return error;
}

fn update_g(problem: u32) {
  for (var j = 0u; j < COLS; j++) {
    let mass = b[problem * COLS + j];
    if (mass < LEAST_MASS) { continue; }
    var total = LogSum(ABSENT, 0.0);
    for (var i = 0u; i < ROWS; i++) {
      total = add(total, f[i] + score(problem, i, j));
    }
    let lse = total.top + log2(total.sum);
    g[j] = RELAXATION * (log2(mass) - lse);
  }
}

// Load the potentials and find the row minima; false if a side has no mass.
fn prepare(problem: u32) -> bool {
  var has_columns = false;
  for (var j = 0u; j < COLS; j++) {
    let has_mass = b[problem * COLS + j] >= LEAST_MASS;
    g[j] = select(ABSENT, potential[problem * COLS + j], has_mass);
    has_columns |= has_mass;
  }
  var has_rows = false;
  for (var i = 0u; i < ROWS; i++) {
    let has_mass = a[problem * ROWS + i] >= LEAST_MASS;
    f[i] = select(ABSENT, 0.0, has_mass);
    has_rows |= has_mass;
    var least = -ABSENT;
    for (var j = 0u; j < COLS; j++) {
      let c = cost[(problem * ROWS + i) * COLS + j];
      least = select(least, min(least, c), g[j] > ABSENT);
    }
    nearest[i] = least;
  }
  return has_rows && has_columns;
}

fn write_plan(problem: u32) {
  for (var j = 0u; j < COLS; j++) {
    var sum = 0.0;
    for (var i = 0u; i < ROWS; i++) {
      let p = exp2(max(f[i] + g[j] + score(problem, i, j), ABSENT));
      sum += p;
      if (WITH_PLAN) { plan[(problem * ROWS + i) * COLS + j] = p; }
    }
    column_sums[problem * COLS + j] = sum;
    potential[problem * COLS + j] = g[j];
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
    for (var i = 0u; i < ROWS; i++) { error += a[problem * ROWS + i]; }
    marginal_error[problem] = error;
    return;
  }
  update_f(problem);
  var iteration = before;
  let last = min(ITERATIONS, before + ITERATIONS_PER_PASS);
  loop {
    update_g(problem);
    error = update_f(problem);
    iteration++;
    if (iteration >= last || error <= THRESHOLD) { break; }
  }
  marginal_error[problem] = error;
  iterations[problem] = f32(iteration);
  write_plan(problem);
}
