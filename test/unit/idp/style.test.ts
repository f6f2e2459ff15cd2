import { describe, expect, it } from 'vitest';
import { style } from '../../../src/idp/pages/style.ts';

const [light = '', dark = ''] = [...style.matchAll(/:root \{([^}]*)\}/g)].map(([, text]) => text);

/** Relative luminance and contrast as WCAG 2.2 defines them. */
function contrast(palette: string, text: string, ground: string): number {
  const luminance = (name: string) => {
    const hex = new RegExp(`--${name}: #([0-9a-f]{6})`).exec(palette)?.[1];
    if (!hex) throw new Error(`no colour ${name}`);
    const [r = 0, g = 0, b = 0] = [0, 2, 4]
      .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [luminance(text), luminance(ground)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

describe.each([
  ['light', light],
  ['dark', dark],
])('the %s palette', (_name, palette) => {
  it.each([
    ['text', 'card'],
    ['text', 'soft'],
    ['muted', 'card'],
    ['muted', 'soft'],
    ['muted', 'page'],
    ['muted', 'accent-soft'],
    ['accent', 'card'],
    ['accent', 'soft'],
    ['on-accent', 'accent'],
    ['on-accent', 'accent-hover'],
    ['note', 'note-soft'],
    ['bad', 'bad-soft'],
    ['good', 'good-soft'],
  ])('%s can be read on %s', (text, ground) => {
    expect(contrast(palette, text, ground)).toBeGreaterThanOrEqual(4.5);
  });
});
