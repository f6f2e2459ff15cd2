/** The mark of the product, for pages: inline, sized by its place, the same on light and dark. */
export const logo =
  '<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9" fill="#4338ca"/>' +
  '<path fill="none" stroke="#fff" stroke-width="1.9" stroke-linecap="round" ' +
  'd="M10 20.5v-4a6 6 0 0 1 12 0v2.2M13 22.5v-6a3 3 0 0 1 6 0v4.5M16 16.5V24M8.2 12.6a9 9 0 0 1 15.6 0"/></svg>';

/** The colours of the product's pages as custom properties, light and dark; contrast of text at least 4.5. */
export const palette = `
:root {
  color-scheme: light dark;
  --page: #f3f4f8; --glow: #e3e4fb; --card: #ffffff; --line: #dfe2ea; --soft: #f6f7fb;
  --text: #171923; --muted: #565d6d; --accent: #4338ca; --good: #13703f; --good-soft: #e4f5ec;
  --bad: #b42318; --bad-soft: #fdecea; --plain: #4338ca; --plain-soft: #eeeefd;
  --shadow: 0 1px 2px rgb(23 25 35 / 6%), 0 12px 40px rgb(23 25 35 / 9%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d0f15; --glow: #1c1d3d; --card: #161922; --line: #2a2f3d; --soft: #1c202b;
    --text: #eceef4; --muted: #a3aabb; --accent: #a5b0fc; --good: #6fdba4; --good-soft: #12301f;
    --bad: #ff9b8f; --bad-soft: #3a1a18; --plain: #a5b0fc; --plain-soft: #23264a;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 16px 48px rgb(0 0 0 / 45%);
  }
}`;
