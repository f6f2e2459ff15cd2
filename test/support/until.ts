/** Polls until `look` finds something. Throws when it has not within `timeoutMs`. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`${timeoutMs} ms passed without ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
