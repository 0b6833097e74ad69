/**
 * Which top-level folder may import which; tests and benches may import all. A
 * stage may not import another stage, only the files that lie directly in
 * `stages/`: stages meet in `shards/`. The one exception looks at what the
 * others make, and none of them may import it.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  stages: ["models", "tokenizers", "onnx", "kernels", "shards"],
  models: ["onnx"],
  tokenizers: [],
  onnx: [],
  kernels: [],
  shards: [],
};

/** The stage that shows the others at work. */
const INSPECTOR = "inspect";

/** The one folder (or file) that may import a foreign package. */
const HOMES: Record<string, string> = {
  "apache-arrow": "shards/",
  "hyparquet": "shards/",
  "onnxruntime-node": "onnx/",
  "@huggingface/tokenizers": "tokenizers/",
};

const plugin: Deno.lint.Plugin = {
  name: "layers",
  rules: {
    "import-downward": {
      create(context) {
        if (/_(test|bench)\.ts$/.test(context.filename)) return {};
        const folders = context.filename.split("/");
        const at = folders.findLastIndex((folder) => folder in MAY_IMPORT);
        if (at < 0) return {};
        const from = folders[at]!;
        const inFolder = folders.slice(at + 1, -1);
        const stage = from === "stages" ? inFolder[0] : undefined;

        return {
          ImportDeclaration(node) {
            const specifier = node.source.value;
            const home = HOMES[specifier];
            if (home && !`${from}/`.startsWith(home)) {
              context.report({
                node,
                message: `Cannot import "${specifier}" from ${from}/`,
                hint: `its one home is ${home}`,
              });
            }
            const [, to, inner] = specifier.match(/^#\/(\w+)\/([\w.]+)/) ?? [];
            const isOwn = to === from &&
              (!stage || inner === stage || inner!.endsWith(".ts") ||
                stage === INSPECTOR);
            const isBelow = !!to && MAY_IMPORT[from]!.includes(to);
            const isOutside = !to && !specifier.startsWith("../");
            if (isOwn || isBelow || isOutside) return;
            context.report({
              node,
              message: `Cannot import "${specifier}" from ${from}/`,
              hint: `${from}/ may import ${
                MAY_IMPORT[from]!.join(", ") || "no other folder"
              }, by "#/" paths`,
            });
          },
        };
      },
    },
  },
};

export default plugin;
