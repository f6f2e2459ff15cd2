import type { Screen } from './screen.ts';

/** Light modules around the code: without them a camera does not see where it begins. */
const border = 2;
/** Bright white on black, whatever the colours of the terminal: cameras want dark on light. */
const [paint, unpaint] = ['\u001b[97;40m', '\u001b[0m'];

/** `text` as a QR code, two modules a character; `undefined` where the terminal cannot show it whole. */
export async function qrCode(text: string, screen: Screen): Promise<string | undefined> {
  if (!screen.can.unicode) return undefined;
  const { renderUnicodeCompact } = await import('uqr');
  const lines = renderUnicodeCompact(text, { border }).split('\n');
  const { columns, rows } = screen.size();
  if ((lines[0]?.length ?? 0) > columns || lines.length + linesAround > rows) return undefined;
  // Without colours a dark terminal is taken for granted, as most are.
  return lines.map((line) => (screen.can.colour ? paint + line + unpaint : line)).join('\n');
}

/** What is said before and after it, which has to stay in sight. */
const linesAround = 12;
