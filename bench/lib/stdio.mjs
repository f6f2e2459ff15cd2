import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { end } from './processes.mjs';

const now = () => performance.now();

/**
 * An MCP client on a stdio server, with nothing between it and the lines: what is measured is the server.
 *
 * In: the command line, its environment, `answer(request)` for what the server asks (default: it cannot).
 * A request resolves with the answer and `ms`, or with `{ exited }` or `{ late }`; it never rejects.
 */
export function openStdio([command, ...args], { env, answer = () => undefined } = {}) {
  const startedAt = now();
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting = new Map();
  const notifications = [];
  let [buffer, stderr, count] = ['', '', 0];
  let exit;

  const exited = new Promise((resolve) => {
    child.on('error', () => {});
    child.on('close', (code, signal) => {
      exit = { code, signal, ms: now() - startedAt };
      for (const settle of [...waiting.values()]) settle({ exited: exit });
      resolve(exit);
    });
  });
  child.stdin.on('error', () => {});
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-1_000_000);
  });
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (buffer + text).split('\n');
    buffer = lines.pop();
    for (const line of lines) if (line.trim()) take(line);
  });

  function take(line) {
    const message = JSON.parse(line);
    if (message.method === undefined) return waiting.get(message.id)?.(message);
    if (message.id === undefined) return void notifications.push(message);
    const result = message.method === 'ping' ? {} : answer(message);
    const error = { code: -32601, message: 'this client cannot' };
    send({ jsonrpc: '2.0', id: message.id, ...(result === undefined ? { error } : { result }) });
  }

  const send = (message) => child.stdin.write(`${JSON.stringify(message)}\n`);
  const notify = (method, params) => send({ jsonrpc: '2.0', method, ...(params ? { params } : {}) });

  function request(method, params = {}, limitMs = 60_000) {
    if (exit) return Promise.resolve({ exited: exit, ms: 0 });
    count++;
    const id = count;
    const sentAt = now();
    return new Promise((resolve) => {
      const settle = (answered) => {
        clearTimeout(timer);
        waiting.delete(id);
        resolve({ ...answered, ms: now() - sentAt });
      };
      const timer = setTimeout(() => settle({ late: true }), limitMs);
      waiting.set(id, settle);
      send({ jsonrpc: '2.0', id, method, params });
    });
  }

  /** `coldMs` of the answer: from the start of the process. */
  async function initialize(limitMs = 60_000) {
    const clientInfo = { name: 'bench', version: '1' };
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo };
    const answered = await request('initialize', params, limitMs);
    if (answered.result) notify('notifications/initialized');
    return { ...answered, coldMs: now() - startedAt };
  }

  return {
    pid: child.pid,
    notifications,
    request,
    notify,
    initialize,
    call: (name, given = {}, limitMs = 60_000) => request('tools/call', { name, arguments: given }, limitMs),
    stderr: () => stderr,
    exit: () => exit,
    /** The end of standard input. Resolves with the exit, and the milliseconds until then. */
    async leave() {
      const leftAt = now();
      child.stdin.end();
      const how = await exited;
      return { ...how, ms: now() - leftAt };
    },
    stop: () => end(child),
  };
}
