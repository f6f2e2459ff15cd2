import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import { type Admin, configure, type GlewlwydOptions, openAdmin } from './admin.ts';

/** The Debian package, and what makes its database. */
export const hasGlewlwyd = existsSync('/usr/bin/glewlwyd') && existsSync('/usr/bin/sqlite3');

const schema = '/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz';
const webapp = '/usr/share/glewlwyd/webapp';
const webappConfig = '/etc/glewlwyd/config-2.7.json/config.json';

/** A real third-party authorization server: glewlwyd 2.7, as Debian packs it. */
export interface Glewlwyd {
  readonly issuer: string;
  readonly admin: Admin;
  /** Reads or changes its database. Out: the rows, columns parted by `|`. */
  sql(statement: string): readonly string[];
  stop(): Promise<void>;
}

/** Starts one on loopback with a database of its own. */
export async function startGlewlwyd(options: GlewlwydOptions = {}): Promise<Glewlwyd> {
  const dir = mkdtempSync(join(tmpdir(), 'whoami-glewlwyd-'));
  const database = join(dir, 'db.sqlite3');
  const sql = (statement: string) =>
    execFileSync('sqlite3', ['-cmd', '.timeout 5000', database], { input: statement, encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);
  sql(gunzipSync(readFileSync(schema)).toString());
  // The package's page links its config.json to a folder: a copy has the file in its place.
  cpSync(webapp, join(dir, 'webapp'), { recursive: true, dereference: true });
  rmSync(join(dir, 'webapp/config.json'), { recursive: true, force: true });
  cpSync(webappConfig, join(dir, 'webapp/config.json'));

  const port = await freePort();
  const origin = `http://localhost:${port}`;
  writeFileSync(join(dir, 'glewlwyd.conf'), configuration(dir, port, origin));
  const child = spawn('glewlwyd', ['-c', join(dir, 'glewlwyd.conf')], { stdio: 'ignore' });
  const stop = async () => {
    await end(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until('a glewlwyd that answers', 15_000, () => {
      if (child.exitCode !== null)
        throw new Error(`glewlwyd ended: ${readFileSync(join(dir, 'log'), 'utf8')}`);
      return fetch(`${origin}/config`).then(
        ({ ok }) => ok,
        () => false,
      );
    });
    const admin = await openAdmin(origin);
    await configure(admin, origin, options);
    return { issuer: `${origin}/api/oidc`, admin, sql, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(patience);
}

const configuration = (dir: string, port: number, origin: string) => `
port=${port}
bind_address="127.0.0.1"
external_url="${origin}/"
login_url="login.html"
api_prefix="api"
static_files_path="${dir}/webapp/"
allow_origin="*"
allow_methods="GET, POST, PUT, DELETE, OPTIONS"
allow_headers="Origin, X-Requested-With, Content-Type, Accept, Bearer, Authorization, DPoP"
expose_headers="Content-Encoding, Authorization"
log_mode="file"
log_level="WARNING"
log_file="${dir}/log"
cookie_secure=0
cookie_same_site="empty"
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_session_authentication="cookie"
profile_session_authentication="cookie"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database = { type="sqlite3" path="${dir}/db.sqlite3" };
static_files_mime_types = (
  { extension=".html" mime_type="text/html" }, { extension=".css" mime_type="text/css" },
  { extension=".js" mime_type="application/javascript" }, { extension=".json" mime_type="application/json" },
  { extension=".png" mime_type="image/png" }, { extension=".ico" mime_type="image/x-icon" },
  { extension=".woff2" mime_type="font/woff2" }, { extension=".woff" mime_type="font/woff" }
)
`;
