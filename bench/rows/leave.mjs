import { openRemote } from '../lib/remote.mjs';
import { staticToken as token } from '../lib/start-remote.mjs';
import { time } from './world.mjs';

/** Row 14. */
export const endOfInput = {
  title: 'the client leaves (end of standard input), Streamable HTTP',
  async run(contestant) {
    const remote = await openRemote();
    try {
      const client = contestant.start(`${remote.origin}/mcp`, { token });
      await client.initialize();
      await client.call('whoami');
      const { code, signal, ms } = await client.leave();
      const { opened, live } = remote.sessions;
      return `exit ${code ?? signal} after ${time(ms)}; ${opened} opened, ${live.size} left at the server`;
    } finally {
      await remote.close();
    }
  },
};
