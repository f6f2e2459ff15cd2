import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readFileIfThere, renameOver, writeFileAtomically } from '../../../src/lib/files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-whoami-files-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('writing a file whole or not at all', () => {
  test('for its owner only, in a folder for its owner only, and nothing is left beside it', async () => {
    const path = join(folder, 'new', 'file');
    await writeFileAtomically(path, 'first');
    await writeFileAtomically(path, 'second');
    expect(readFileSync(path, 'utf8')).toBe('second');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(folder, 'new'))).toEqual(['file']);
  });

  test('what cannot be replaced stays, and the temporary file goes', async () => {
    const path = join(folder, 'taken');
    await writeFileAtomically(join(path, 'inner'), 'a folder has this name');
    await expect(writeFileAtomically(path, 'text')).rejects.toMatchObject({ code: 'EISDIR' });
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  test('many at once: the file is one of them, whole', async () => {
    const path = join(folder, 'file');
    const texts = Array.from({ length: 20 }, (_, n) => String(n).repeat(5_000));
    await Promise.all(texts.map((text) => writeFileAtomically(path, text)));
    expect(texts).toContain(await readFileIfThere(path));
    expect(readdirSync(folder)).toEqual(['file']);
  });
});

describe('renaming as on Windows, where a reader holds the target open', () => {
  /** A rename that fails so often. */
  function refuses(times: number, code: string) {
    const move = async () => {
      move.calls++;
      if (move.calls <= times) throw Object.assign(new Error(code), { code });
    };
    move.calls = 0;
    return move;
  }

  test.each(['EPERM', 'EACCES', 'EBUSY'])('%s passes', async (code) => {
    const move = refuses(3, code);
    await renameOver('from', 'to', move);
    expect(move.calls).toBe(4);
  });

  test('not for ever', async () => {
    const move = refuses(100, 'EBUSY');
    await expect(renameOver('from', 'to', move)).rejects.toMatchObject({ code: 'EBUSY' });
    expect(move.calls).toBe(6);
  });

  test('another reason is none to wait for', async () => {
    const move = refuses(100, 'ENOSPC');
    await expect(renameOver('from', 'to', move)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(move.calls).toBe(1);
  });
});
