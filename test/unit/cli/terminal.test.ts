import { PassThrough } from 'node:stream';
import { encode } from 'uqr';
import { describe, expect, test } from 'vitest';
import { qrCode } from '../../../src/cli/terminal/qr-code.ts';
import { createScreen, type Screen } from '../../../src/cli/terminal/screen.ts';

function openScreen(environment: Record<string, string> = {}, platform: NodeJS.Platform = 'linux') {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 40 });
  const screen = createScreen({ stream, environment, platform });
  return { stream, screen, written: () => String(stream.read() ?? '') };
}

describe('the line that changes', () => {
  test('gives way to lines that stay, and comes back below them', () => {
    const { screen, written } = openScreen();
    screen.status('waiting');
    screen.write('a warning\n');
    expect(written()).toBe('\r\u001b[Kwaiting\r\u001b[Ka warning\nwaiting');
    screen.status(undefined);
    screen.write('done\n');
    expect(written()).toBe('\r\u001b[Kdone\n');
  });

  test('never fills the last column: it could not be taken back', () => {
    const { screen, stream, written } = openScreen();
    stream.columns = 10;
    screen.status('0123456789abc');
    expect(written()).toBe('\r\u001b[K012345678');
  });

  test('is nothing where there is no terminal', () => {
    const stream = new PassThrough();
    const screen = createScreen({ stream, environment: {}, platform: 'linux' });
    screen.status('waiting');
    screen.write('a line\n');
    expect(String(stream.read())).toBe('a line\n');
  });
});

describe('what a terminal can show', () => {
  const unicode = (environment: Record<string, string>, platform?: NodeJS.Platform) =>
    openScreen(environment, platform).screen.can.unicode;
  test.each([
    [{}, true],
    [{ LANG: 'de_DE.UTF-8' }, true],
    [{ LANG: 'en_US.utf8', LC_ALL: 'C' }, false],
    [{ LANG: 'POSIX' }, false],
    [{ TERM: 'linux', LANG: 'C.UTF-8' }, false],
    [{ TERM: 'dumb' }, false],
  ])('unicode with %j: %s', (environment, able) => expect(unicode(environment)).toBe(able));
  test('on Windows: in the new terminal, not in the old console', () => {
    expect([unicode({ WT_SESSION: 'x' }, 'win32'), unicode({}, 'win32')]).toEqual([true, false]);
  });
});

describe('the QR code', () => {
  const text = 'https://auth.example/device?user_code=WXYZ-1234';
  const shown = async (screen: Screen) => (await qrCode(text, screen))?.split('\n') ?? [];

  test('is light where the code is light, dark where it is dark', async () => {
    const lines = await shown(openScreen({ NO_COLOR: '1' }).screen);
    const { data } = encode(text, { border: 2 });
    const light = lines.flatMap((line) => [
      [...line].map((half) => half === '█' || half === '▀'),
      [...line].map((half) => half === '█' || half === '▄'),
    ]);
    expect(light.slice(0, data.length)).toEqual(data.map((row) => row.map((dark) => !dark)));
  });

  test('has colours of its own, line by line', async () => {
    const lines = await shown(openScreen().screen);
    for (const line of lines) expect(line).toMatch(/^\u001b\[97;40m[ █▀▄]+\u001b\[0m$/);
  });
});
