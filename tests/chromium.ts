/** How to get a browser, for the names of skipped tests. */
export const INSTALL_CHROMIUM = "apt-get install chromium";

/**
 * Look for a headless browser.
 *
 * @returns The program's name, or nothing if none is installed.
 */
export async function findChromium(): Promise<string | undefined> {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      const { success } = await new Deno.Command(name, {
        args: ["--version"],
        stdout: "null",
        stderr: "null",
      }).output();
      if (success) return name;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/**
 * Open a page in a real browser and read what it has become.
 *
 * @param chromium The program.
 * @param url The page.
 * @returns The document after its scripts have run.
 */
export async function dumpDom(chromium: string, url: string): Promise<string> {
  const profile = await Deno.makeTempDir();
  try {
    const { stdout } = await new Deno.Command(chromium, {
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        `--user-data-dir=${profile}`,
        "--window-size=1280,900",
        "--virtual-time-budget=5000",
        "--dump-dom",
        url,
      ],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(profile, { recursive: true });
  }
}
