/** A browser without pages: follows redirects with cookies, and gives back where it ended. */
export async function follow(
  start: string,
  stopAt?: (url: URL) => boolean,
): Promise<{ url: URL; status: number; text: string }> {
  const jar = new Map<string, string>();
  let url = new URL(start);
  for (let hop = 0; hop < 20; hop++) {
    if (stopAt?.(url)) return { url, status: 0, text: '' };
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: cookie ? { cookie } : {} });
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';', 1)[0]?.split(/=(.*)/s) ?? [];
      jar.set(name, value);
    }
    const location = answer.headers.get('location');
    if (!location) return { url, status: answer.status, text: await answer.text() };
    await answer.body?.cancel();
    url = new URL(location, url);
  }
  throw new Error(`${start} redirects without an end`);
}
