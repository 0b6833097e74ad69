// Generalized Jensen-Shannon divergence of one outcome, with m = βp + (1 - β)q:
// d = β p log(p / m) + (1 - β) q log(q / m), q ∂d/∂q = (1 - β) q log(q / m).
// See outcomes.wgsl.
override BETA: f32;

// No mixture that is not 0 is smaller; f32 may take subnormals for 0.
const LEAST_PROB: f32 = 1e-37;

fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  let q = exp(log_q);
  let log_m = log(max(BETA * p + (1.0 - BETA) * q, LEAST_PROB));
  let of_model = select(0.0, (1.0 - BETA) * q * (log_q - log_m), q > LEAST_PROB);
  let of_teacher = select(0.0, BETA * p * (log(max(p, LEAST_PROB)) - log_m), p > LEAST_PROB);
  return vec2(of_teacher + of_model, of_model);
}
