// What breaks a bridge, fifteen ways, ours beside mcp-remote: node bench/rows/run.mjs [ROW ...]
// Everything is on loopback. All of it takes about eight minutes, most of that waiting for answers that do not come.
import { table } from '../lib/figures.mjs';
import { versions } from '../lib/peers.mjs';
import { forBoth } from './contestants.mjs';
import { endOfInput } from './leave.mjs';
import { killedOverHttp, killedOverSse, silentHttp, silentSse } from './loss.mjs';
import { forgedRedirect, forgottenClient, stepUp } from './sign-in.mjs';
import { chatter, firstSignIn, serverDown } from './start.mjs';
import { atRest, revokedForFour, shortLife, shortLifeRotating } from './tokens.mjs';

const rows = [
  firstSignIn,
  serverDown,
  killedOverHttp,
  killedOverSse,
  silentSse,
  silentHttp,
  revokedForFour,
  shortLife,
  shortLifeRotating,
  forgedRedirect,
  forgottenClient,
  stepUp,
  atRest,
  endOfInput,
  chatter,
];

const wanted = process.argv.slice(2).map(Number);
const lines = [];
for (const [index, { title, run }] of rows.entries()) {
  const number = index + 1;
  if (wanted.length > 0 && !wanted.includes(number)) continue;
  console.error(`${number}. ${title}`);
  const observed = await forBoth(run);
  for (const [name, text] of Object.entries(observed)) console.error(`   ${name}: ${text}`);
  lines.push([number, title, observed['mcp-remote'], observed.ours]);
}
console.log(table(['#', 'row', `mcp-remote ${versions['mcp-remote']}`, 'ours'], lines));
// A server's open connections must not keep a finished run.
process.exit(0);
