import {
  compare,
  type Comparison,
  type PeerBench,
  peerName,
} from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import type { SinkhornWorkerMethods } from "#/bench/sinkhorn_worker.ts";
import {
  requestDevice,
  sinkhorn,
  type SinkhornOptions,
  sinkhornScaling,
  type TransportProblems,
} from "#/kernels/mod.ts";
import { RemoteMethods } from "#/stages/rpc.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

/** Problems of a batch, by size: enough that waiting for a GPU, 11 ms in Deno, is little. */
const SIZES = { 10: 262_144, 32: 2048, 64: 512, 100: 256 } as const;
const POT_PROBLEMS = 32;

/** As many as the peer has threads. */
const WORKERS = 2;

/** Balanced: 50 iterations. Ours, semi-relaxed: until the marginal error is small. */
const fixed = { epsilon: 1 / 30, tau: Infinity, iterations: 50, threshold: 0 };
const converged = { threshold: 1e-4 };

/** Batches of transport problems. */
export const sinkhornBench: PeerBench = {
  name: "sinkhorn",
  async run() {
    const device = await requestDevice();
    await using peer = await PythonPeer.open("torch_sinkhorn.py");
    const lines: Comparison[] = [];
    for (const [size, count] of Object.entries(SIZES)) {
      await inTemporaryDirectory(async (folder) => {
        const problems = makeProblems(Number(size), count);
        lines.push(...await bench(problems, count, folder, device, peer));
      });
    }
    device?.destroy();
    return lines;
  },
};

async function bench(
  problems: TransportProblems,
  count: number,
  folder: string,
  device: GPUDevice | undefined,
  peer: PythonPeer | undefined,
): Promise<Comparison[]> {
  for (const name of ["cost", "a", "b"] as const) {
    await Deno.writeFile(
      `${folder}/${name}`,
      new Uint8Array(problems[name].buffer),
    );
  }
  const { rows, cols } = problems;
  const { epsilon, iterations } = fixed;
  const ask = (name: string, more: Record<string, unknown> = {}) =>
    peer && (async () => {
      const sizes = { folder, rows, cols, epsilon, iterations, ...more };
      return (await peer.call(name, sizes)).seconds;
    });
  using workers = await openWorkers(problems, count);
  const best = await takeTurns({
    workers: timed(() => workers.solve(fixed)),
    cpu: timed(() => sinkhornScaling(problems, fixed)),
    gpu: device && timed(() => sinkhorn(device, problems, fixed)),
    cpuConverged: timed(() => sinkhornScaling(problems, converged)),
    gpuConverged: device && timed(() => sinkhorn(device, problems, converged)),
    scaling: ask("scaling", { dtype: "float64" }),
    logDomain: ask("logDomain"),
    pot: ask("pot", { count: POT_PROBLEMS }),
  });
  const { scaling, logDomain } = best;
  const pot = best.pot && best.pot * count / POT_PROBLEMS;
  const unit = { amount: count, of: "problems" };
  const names = {
    scaling: peerName(peer, "batched, f64"),
    logDomain: peerName(peer, "batched, log domain, f32"),
  };
  const small = rows === 10;
  const balanced = `Sinkhorn ${rows}×${cols}, balanced, 50 iterations`;
  const relaxed = `Sinkhorn ${rows}×${cols}, semi-relaxed, error 1e-4`;
  const ahead = small ? "" : "ahead";
  const line = (
    work: string,
    ours: number | undefined,
    peer: number | undefined,
    name: string,
    goal: string,
  ) => compare(work, { ours, peer }, name, goal, unit);
  return [
    line(
      `${balanced}, WebGPU`,
      best.gpu,
      scaling,
      names.scaling,
      small ? "740 k/s" : "",
    ),
    line(
      `${balanced}, CPU, ${WORKERS} workers`,
      best.workers,
      scaling,
      names.scaling,
      ahead,
    ),
    line(`${balanced}, CPU, one thread`, best.cpu, scaling, names.scaling, ""),
    line(
      `${balanced}, CPU, ${WORKERS} workers`,
      best.workers,
      logDomain,
      names.logDomain,
      ahead,
    ),
    line(`${balanced}, CPU, one thread`, best.cpu, pot, "POT, one by one", ""),
    line(`${relaxed}, WebGPU`, best.gpuConverged, scaling, names.scaling, ""),
    line(
      `${relaxed}, CPU, one thread`,
      best.cpuConverged,
      scaling,
      names.scaling,
      small ? "100 k/s" : "",
    ),
  ];
}

/** Workers that hold a part of the batch each, as the align stage has them. */
async function openWorkers(problems: TransportProblems, count: number) {
  const { cost, a, b, rows, cols } = problems;
  const remotes = await Promise.all(
    Array.from({ length: WORKERS }, async (_, worker) => {
      const part = (array: Float32Array<ArrayBuffer>, size: number) =>
        array.slice(
          Math.floor(count * worker / WORKERS) * size,
          Math.floor(count * (worker + 1) / WORKERS) * size,
        );
      const url = new URL("./sinkhorn_worker.ts", import.meta.url);
      const remote = new RemoteMethods<SinkhornWorkerMethods>(
        new Worker(url, { type: "module" }),
      );
      await remote.call("open", [{
        cost: part(cost, rows * cols),
        a: part(a, rows),
        b: part(b, cols),
        rows,
        cols,
      }]);
      return remote;
    }),
  );
  return {
    solve: (options: SinkhornOptions) =>
      Promise.all(remotes.map((remote) => remote.call("solve", [options]))),
    [Symbol.dispose]: () => remotes.forEach((r) => r[Symbol.dispose]()),
  };
}

/** Peaked marginals; most tokens have a counterpart at no cost. */
function makeProblems(size: number, count: number): TransportProblems {
  const random = mulberry32(size);
  const marginals = () => {
    const all = Float32Array.from(
      { length: count * size },
      () => random() ** 6 + 1e-6,
    );
    for (let first = 0; first < all.length; first += size) {
      const row = all.subarray(first, first + size);
      const sum = row.reduce((total, mass) => total + mass, 0);
      row.forEach((mass, i) => row[i] = mass / sum);
    }
    return all;
  };
  return {
    cost: Float32Array.from({ length: count * size * size }, (_, index) => {
      const [i, j] = [Math.floor(index / size) % size, index % size];
      return i === j && random() < 0.8 ? 0 : 1 + Math.floor(random() * 8);
    }),
    a: marginals(),
    b: marginals(),
    rows: size,
    cols: size,
  };
}
