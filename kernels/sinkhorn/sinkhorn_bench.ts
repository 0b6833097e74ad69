import { requestDevice } from "#/kernels/device.ts";
import { sinkhorn } from "#/kernels/sinkhorn/sinkhorn.ts";
import { sinkhornCpu } from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import { sinkhornScaling } from "#/kernels/sinkhorn/sinkhorn_scaling.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

// Four sequences of 2048 positions, top-10 logprobs on either side, most
// tokens with a counterpart at no cost.
const [batch, topK] = [8192, 10];
const random = mulberry32(1);
const marginals = () => {
  const rows = Float32Array.from(
    { length: batch * topK },
    () => random() ** 6 + 1e-6,
  );
  for (let first = 0; first < rows.length; first += topK) {
    const row = rows.subarray(first, first + topK);
    const sum = row.reduce((total, mass) => total + mass, 0);
    row.forEach((mass, i) => row[i] = mass / sum);
  }
  return rows;
};
const problems = {
  cost: Float32Array.from({ length: batch * topK * topK }, (_, index) => {
    const [i, j] = [Math.floor(index / topK) % topK, index % topK];
    return i === j && random() < 0.8 ? 0 : 1 + Math.floor(random() * 8);
  }),
  a: marginals(),
  b: marginals(),
  rows: topK,
  cols: topK,
};
const device = await requestDevice();
const group = `${batch} problems of ${topK} x ${topK}`;

Deno.bench("sinkhornCpu()", { group, baseline: true, n: 3 }, () => {
  sinkhornCpu(problems);
});

Deno.bench("sinkhornScaling()", { group, n: 10 }, () => {
  sinkhornScaling(problems);
});

Deno.bench("sinkhorn()", { group, ignore: !device, n: 10 }, async () => {
  await sinkhorn(device!, problems);
});
