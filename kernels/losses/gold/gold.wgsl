// GOLD's hybrid: the generalized Jensen-Shannon divergence of an outcome that both
// vocabularies know, with m = βp + (1 - β)q, and |p - q| of one that is compared
// by rank, each times its weight. The tail counts as known. See outcomes.wgsl.
override BETA: f32;
override MATCHED_WEIGHT: f32;

@group(0) @binding(8) var<storage, read> matched: array<u32>;          // [V]

// No mixture that is not 0 is smaller; f32 may take subnormals for 0.
const LEAST_PROB: f32 = 1e-37;

fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  let q = exp(log_q);
  if (v != TAIL && matched[v] == 0u) {
    return (1.0 - MATCHED_WEIGHT) * vec2(abs(p - q), q * sign(q - p));
  }
  let log_m = log(max(BETA * p + (1.0 - BETA) * q, LEAST_PROB));
  let of_model = select(0.0, (1.0 - BETA) * q * (log_q - log_m), q > LEAST_PROB);
  let of_teacher = select(0.0, BETA * p * (log(max(p, LEAST_PROB)) - log_m), p > LEAST_PROB);
  return MATCHED_WEIGHT * vec2(of_teacher + of_model, of_model);
}
