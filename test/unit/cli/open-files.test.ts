import { expect, test } from 'vitest';
import { warnOfOpenFiles } from '../../../src/cli/serve/open-files.ts';
import { createLog } from '../../../src/lib/log.ts';
import { defaults } from '../server/support/world.ts';

const limits = (most: string) =>
  `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${most}                ${most}                files\n`;

test.each([
  ['fewer than the streams', limits('1024'), 1],
  ['room for them, and for nothing else', limits('10000'), 1],
  ['enough', limits('11024'), 0],
  ['no limit', limits('unlimited'), 0],
  ['a system that does not tell', '', 0],
])('%s', (_what, text, count) => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', write: (line) => void lines.push(line) });
  warnOfOpenFiles({ ...defaults, maxSessions: 10_000 }, log, text);
  expect(lines).toHaveLength(count);
});
