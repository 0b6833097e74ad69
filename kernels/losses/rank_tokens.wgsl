// A model's tokens by rank: for every entry of a row, the next most likely token
// (direction 1), counted from the top, or the next least likely one (-1), counted
// from the end; -1 where there is none or direction is 0. Of equal logits the
// lower token comes first.
//
// One workgroup owns one row of V logits; thread t reads tokens t, t + WORKGROUP,
// … once for each of the K entries. Entries of one direction follow each other.
// Only tokens with is_ranked take part.

override WORKGROUP: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;        // [N, V]
@group(0) @binding(1) var<storage, read> directions: array<i32>;    // [N, K]
@group(0) @binding(2) var<storage, read> is_ranked: array<u32>;     // [V]
@group(0) @binding(3) var<storage, read_write> ids: array<f32>;     // [N, K]

// A token's logit times the direction, and its place j in that direction.
struct Candidate { z: f32, j: i32 }

var<workgroup> partial: array<Candidate, WORKGROUP>;

fn precedes(a: Candidate, b: Candidate) -> bool {
  if (a.j < 0 || b.j < 0) { return a.j >= 0; }
  return a.z > b.z || (a.z == b.z && a.j < b.j);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.x;
  let V = arrayLength(&is_ranked);
  let K = arrayLength(&ids) * V / arrayLength(&logits);

  var last = Candidate(0.0, -1);
  var last_direction = 0;
  for (var k = 0u; k < K; k++) {
    let direction = directions[row * K + k];
    if (direction != last_direction) { last = Candidate(0.0, -1); }
    last_direction = direction;

    var best = Candidate(0.0, -1);
    for (var j = t; j < V; j += WORKGROUP) {
      let v = select(V - 1u - j, j, direction > 0);
      let one = Candidate(f32(direction) * logits[row * V + v], i32(j));
      let is_left = last.j < 0 || precedes(last, one);
      if (is_ranked[v] != 0u && is_left && precedes(one, best)) { best = one; }
    }
    partial[t] = best;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
      if (t < half && precedes(partial[t + half], partial[t])) {
        partial[t] = partial[t + half];
      }
      workgroupBarrier();
    }
    last = partial[0];
    workgroupBarrier();

    if (t == 0u) {
      let v = select(i32(V) - 1 - last.j, last.j, direction > 0);
      ids[row * K + k] = select(f32(v), -1.0, last.j < 0 || direction == 0);
    }
  }
}
