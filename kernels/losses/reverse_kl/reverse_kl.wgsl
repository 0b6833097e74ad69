// Kullback-Leibler divergence from teacher to model, of one outcome:
// d = q log(q / p), q ∂d/∂q = q (log(q / p) + 1), p held above LEAST_PROB.
// See outcomes.wgsl.
const LEAST_PROB: f32 = 1e-9;

fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  let ratio = log_q - log(max(p, LEAST_PROB));
  return exp(log_q) * vec2(ratio, ratio + 1.0);
}
