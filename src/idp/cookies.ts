/** The cookies of one origin, by name and path (RFC 6265 5.3); no domains, no dates but the end. */
export function createCookieJar() {
  const cookies = new Map<string, { name: string; value: string; path: string }>();
  return {
    /** In: the values of `set-cookie`. */
    take(lines: readonly string[]): void {
      for (const line of lines) {
        const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
        const at = pair.indexOf('=');
        const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
        const attribute = (wanted: string) =>
          attributes.find((text) => text.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
        const path = attribute('path') ?? '/';
        const expires = attribute('expires');
        if (expires && Date.parse(expires) <= Date.now()) cookies.delete(`${path} ${name}`);
        else cookies.set(`${path} ${name}`, { name, value, path });
      }
    },
    /** The header fields of a request for `path`. */
    headers(path: string): Record<string, string> {
      const sent = [...cookies.values()].filter((cookie) => matches(cookie.path, path));
      return sent.length > 0 ? { cookie: sent.map(({ name, value }) => `${name}=${value}`).join('; ') } : {};
    },
  };
}

function matches(cookiePath: string, path: string): boolean {
  return path === cookiePath || path.startsWith(cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`);
}
