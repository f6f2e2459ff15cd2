import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { bin } from '../../support/command.ts';
import { textOf } from '../../support/fault-client.ts';
import { overBoth, row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import { type Home, makeHome } from '../../support/home.ts';
import { until } from '../../support/until.ts';

/** Resident memory of a process in MB (Linux). */
const residentMb = (pid = 0) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

const handshake = [
  {
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'parent', version: '1' } },
  },
  { method: 'notifications/initialized' },
]
  .map((message) => JSON.stringify({ jsonrpc: '2.0', ...message }))
  .join('\n');

/** A client that starts the bridge as its child, as desktop clients do; out: the bridge's process id. */
async function startParent(url: string): Promise<{ parent: ChildProcess; pid: number; home: Home }> {
  const home = makeHome({ MCP_WHOAMI_TOKEN: 'by-hand' });
  const script = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ${JSON.stringify([bin, 'bridge', url])}, { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.write(${JSON.stringify(`${handshake}\n`)});
    child.stdout.once('data', () => console.log(child.pid));
  `;
  const parent = spawn(process.execPath, ['-e', script], {
    env: { PATH: process.env.PATH, ...home.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  parent.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  await until('the bridge of the client', 15_000, () => printed.endsWith('\n'));
  return { parent, pid: Number(printed), home };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // Nobody may have asked for its exit code yet.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** The client's end: it leaves, breaks, stops reading, sends signals. */
export function clientRows(): void {
  overBoth((path) => {
    row('client closes stdin', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const call = it.call('count', { n: 1500, how: 'silent' });
        await until('the call at the server', 5000, () => server.effects.has(1500));
        const { code, ms } = await it.end();
        expect(code).toBe(0);
        expect(ms).toBeLessThan(1500);
        await call;
        saw(`exit ${code}`, ms);
        if (path === 'mcp') {
          expect(server.seen.some(({ verb }) => verb === 'DELETE')).toBe(true);
          saw('session DELETEd');
        } else expect(server.streams.size).toBe(0);
      }),
    );

    row('client closes stdin', `${path}, the client is killed -9`, (saw) =>
      inWorld(async ({ model }) => {
        const server = await model();
        const { parent, pid, home } = await startParent(server[path]);
        await until('the connection', 10_000, () => server.count('notifications/initialized') > 0);
        const from = performance.now();
        parent.kill('SIGKILL');
        await until('the end of the bridge', 10_000, () => !isAlive(pid));
        const ms = performance.now() - from;
        expect(ms).toBeLessThan(1500);
        saw('gone', ms);
        if (path === 'mcp') {
          expect(server.seen.some(({ verb }) => verb === 'DELETE')).toBe(true);
          saw('session DELETEd');
        } else await until('the end of the stream', 2000, () => server.streams.size === 0);
        home.remove();
      }),
    );

    row('stdout closed (EPIPE)', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const { child } = it.running;
        child.stdout.destroy();
        const from = performance.now();
        it.line('{"jsonrpc":"2.0","id":"p","method":"ping"}');
        const { code, stderr } = await it.running.finished;
        const ms = performance.now() - from;
        expect(stderr).not.toMatch(/\n\s+at /);
        expect(ms).toBeLessThan(1500);
        saw(`exit ${code}, no stack`, ms);
        if (path === 'mcp') expect(server.seen.some(({ verb }) => verb === 'DELETE')).toBe(true);
      }),
    );

    for (const [signal, expected] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
      ['SIGHUP', 129],
    ] as const) {
      row('SIGTERM, SIGINT, SIGHUP in flight', `${path}, ${signal}`, (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model();
          const it = client(server[path]);
          await it.ready();
          const call = it.call('count', { n: 1510, how: 'silent' });
          await until('the call at the server', 5000, () => server.effects.has(1510));
          const from = performance.now();
          const { code } = await it.running.stop(signal);
          const ms = performance.now() - from;
          expect(code).toBe(expected);
          expect(ms).toBeLessThan(1500);
          const answer = await call;
          expect(answer.json.error ?? answer.json.result?.isError).toBeTruthy();
          saw(`"${textOf(answer)}", exit ${code}`, ms);
          if (path === 'mcp') expect(server.seen.some(({ verb }) => verb === 'DELETE')).toBe(true);
        }),
      );
    }

    row(
      'client does not read stdout',
      path,
      (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model();
          const it = client(server[path]);
          await it.ready();
          const { child } = it.running;
          child.stdout.pause();
          const before = residentMb(child.pid);
          const calls = Array.from({ length: 200 }, () => it.call('count', { size: 1024 * 1024 }));
          let most = 0;
          const end = performance.now() + 12_000;
          await until('12 s', 15_000, () => {
            most = Math.max(most, residentMb(child.pid));
            return performance.now() > end;
          });
          // What each open request may hold is bounded; 200 MB of answers are not all here.
          expect(most - before).toBeLessThan(120);
          saw(`200 answers of 1 MB unread for 12 s: memory +${Math.round(most - before)} MB`);
          child.stdout.resume();
          for (const answer of await Promise.all(calls)) expect(textOf(answer)).toMatch(/^ok/);
          saw('all 200 answered when it read again');
        }),
      { slow: true },
    );

    row(
      'remote does not read',
      path,
      (saw) =>
        inWorld(async ({ client, model, proxy }) => {
          const server = await model();
          const way = await proxy(server.port);
          const it = client(`${way.origin}/${path}`, { args: ['--max-message', '1'] });
          await it.ready();
          way.plan = () => ({ hole: true });
          way.blackHole();
          const { child } = it.running;
          const before = residentMb(child.pid);
          const padding = 'x'.repeat(900_000);
          const calls = Array.from({ length: 12 }, (_, index) =>
            it.request('tools/call', { name: 'count', arguments: { n: 1600 + index, padding } }),
          );
          let most = 0;
          await Promise.all([
            ...calls,
            until('all answers', 55_000, () => {
              most = Math.max(most, residentMb(child.pid));
              return it.unanswered() === 0;
            }),
          ]);
          expect(most - before).toBeLessThan(60);
          saw(`12 calls of 0.9 MB into a black hole: memory +${Math.round(most - before)} MB, each answered`);
        }),
      { slow: true },
    );
  });
}
