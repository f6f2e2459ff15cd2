import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A certificate authority of one's own, as companies have. */
export interface Authority {
  /** Its certificate, as PEM text. */
  readonly pem: string;
  /** The file with it. */
  readonly file: string;
  /** A certificate for `names`: host names, and addresses written `IP:127.0.0.1`. In: `days`; 0: it has run out. */
  issue(names: readonly string[], days?: number): Certificate;
  remove(): void;
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export function createAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'whoami-ca-'));
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  const subject = ['-subj', '/CN=Example Corp CA', '-days', '2'];
  openssl('req', '-x509', ...ec, ...subject, '-keyout', at('ca.key'), '-out', at('ca.pem'));
  let count = 0;
  return {
    pem: readFileSync(at('ca.pem'), 'utf8'),
    file: at('ca.pem'),
    issue(names, days = 2) {
      const [key, request, cert, extensions] = ['key', 'csr', 'pem', 'ext'].map((end) =>
        at(`${count}.${end}`),
      );
      count++;
      const listed = names.map((name) => (name.startsWith('IP:') ? name : `DNS:${name}`)).join(',');
      writeFileSync(extensions as string, `subjectAltName=${listed}\n`);
      openssl('req', ...ec, '-subj', '/CN=a server', '-keyout', key as string, '-out', request as string);
      const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
      const given = ['-in', request as string, '-extfile', extensions as string, '-out', cert as string];
      openssl('x509', '-req', ...signing, ...given, '-days', String(days));
      return { key: readFileSync(key as string, 'utf8'), cert: readFileSync(cert as string, 'utf8') };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
