// The MCP server of remote.mjs as a process that can be killed: node remote-process.mjs PORT TOKEN
import { openRemote } from './remote.mjs';

const [port, wanted] = process.argv.slice(2);
const remote = await openRemote({
  port: Number(port),
  gate: ({ token }) => (token === wanted ? undefined : { status: 401, challenge: 'Bearer' }),
});
console.log(`listening on ${remote.origin}`);
// It does not outlive who started it.
process.stdin.resume().on('end', () => process.exit());
