/** How long the kernel's output queue gets to empty, in milliseconds. */
const DRAIN_MS = 50;

/**
 * Show HTML as a cell's output.
 *
 * The kernel may report a cell as finished before the last output of an
 * asynchronous cell has left, and nbconvert then drops it: so this waits. Plots
 * are shown as HTML since nbconvert strips the shapes out of bare SVG.
 *
 * @param html A fragment: a table, or what `plot.ts` draws.
 * @param text What readers without HTML see instead.
 */
export async function show(html: string, text = "[plot]"): Promise<void> {
  await Deno.jupyter.display({
    "text/html": html,
    "text/plain": text,
  }, { raw: true });
  await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
}
