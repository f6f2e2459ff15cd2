import { palette } from '../../lib/brand.ts';

/** The style of the loopback pages: system font, light and dark, from 360 px up. */
export const pageStyle = `${palette}
* { box-sizing: border-box; margin: 0; }
html { height: 100%; -webkit-text-size-adjust: 100%; }
body {
  min-height: 100%; padding: 32px 16px; display: flex; flex-direction: column;
  align-items: center; justify-content: center; gap: 20px; color: var(--text);
  background: radial-gradient(900px 420px at 50% -80px, var(--glow), transparent 70%) no-repeat var(--page);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main {
  width: 100%; max-width: 440px; padding: 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 16px; box-shadow: var(--shadow);
}
.brand { display: flex; align-items: center; gap: 10px; font-weight: 600; font-size: 15px; }
.brand svg { width: 28px; height: 28px; flex: none; }
.mark {
  width: 64px; height: 64px; padding: 17px; margin: 28px auto 18px; display: block; border-radius: 50%;
  fill: none; stroke: currentColor; stroke-width: 2.3; stroke-linecap: round; stroke-linejoin: round;
}
.good .mark { color: var(--good); background: var(--good-soft); }
.bad .mark { color: var(--bad); background: var(--bad-soft); }
.quiet .mark { color: var(--plain); background: var(--plain-soft); }
h1 {
  font-size: 24px; line-height: 1.25; font-weight: 650; letter-spacing: -0.012em; text-align: center;
  text-wrap: balance;
}
.what { margin-top: 10px; text-align: center; color: var(--muted); overflow-wrap: anywhere; text-wrap: balance; }
dl, .next {
  margin-top: 24px; padding: 14px 16px; border: 1px solid var(--line); border-radius: 12px; background: var(--soft);
}
.person { display: flex; align-items: center; gap: 14px; }
.person > div { min-width: 0; }
.row + .row { margin-top: 10px; }
.person + .row { margin-top: 14px; padding-top: 14px; border-top: 1px solid var(--line); }
.avatar {
  flex: none; width: 42px; height: 42px; border-radius: 50%; display: grid; place-items: center; color: #fff;
  background: linear-gradient(140deg, #6d5ae6, #4338ca); font-weight: 600; font-size: 16px;
}
dt, h2 { font-size: 14px; font-weight: 400; line-height: 1.4; color: var(--muted); }
dd { overflow-wrap: anywhere; line-height: 1.4; }
.name { font-weight: 600; }
.next p { margin-top: 2px; overflow-wrap: anywhere; text-wrap: pretty; }
.word { white-space: nowrap; font: 600 14.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.end { margin-top: 24px; font-size: 15px; color: var(--muted); text-align: center; text-wrap: balance; }
footer { font-size: 13px; color: var(--muted); text-align: center; }
@media (max-width: 480px) {
  body { padding: 16px 12px 24px; }
  main { padding: 24px 20px; }
  h1 { font-size: 22px; }
}
@media (forced-colors: active) { .avatar, .mark { border: 1px solid; } }
`;
