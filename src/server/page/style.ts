import { palette } from '../../lib/brand.ts';

/** The style of the page at `/`: system font, light and dark, from 360 px up. Inline: nothing is loaded. */
export const style = `${palette}
:root { --on-accent: #ffffff; --accent-hover: #3730a3; }
@media (prefers-color-scheme: dark) { :root { --on-accent: #12142b; --accent-hover: #bcc5ff; } }
*, *::before, *::after { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; }
body {
  padding: 40px 16px 32px; color: var(--text); overflow-wrap: break-word;
  background: radial-gradient(1100px 460px at 50% -80px, var(--glow), transparent 70%) no-repeat var(--page);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
header, main, footer { max-width: 720px; margin: 0 auto; }
.brand { display: flex; align-items: center; gap: 10px; font-weight: 600; font-size: 15px; }
.brand svg { width: 30px; height: 30px; flex: none; }
h1 { margin: 28px 0 10px; font-size: 34px; line-height: 1.15; font-weight: 680; letter-spacing: -0.02em; text-wrap: balance; }
.lead { max-width: 60ch; color: var(--muted); font-size: 17px; text-wrap: pretty; }
section {
  margin-top: 20px; padding: 28px; background: var(--card); border: 1px solid var(--line);
  border-radius: 16px; box-shadow: var(--shadow);
}
h2 { font-size: 20px; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em; }
h2 + p { margin-top: 6px; color: var(--muted); text-wrap: pretty; }
button { font: inherit; cursor: pointer; }
button:focus-visible, summary:focus-visible, a:focus-visible, pre:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.primary {
  margin-top: 18px; min-height: 46px; padding: 10px 22px; border: 0; border-radius: 12px;
  background: var(--accent); color: var(--on-accent); font-weight: 600;
}
.primary:hover { background: var(--accent-hover); }
.primary:disabled { opacity: 0.65; cursor: progress; }
.status { margin-top: 14px; color: var(--muted); }
.status:empty { display: none; }
.problem { margin-top: 14px; padding: 12px 16px; border-radius: 12px; background: var(--bad-soft); color: var(--bad); }
.problem:empty { display: none; }
.claims { margin-top: 18px; padding: 6px 18px; border: 1px solid var(--line); border-radius: 12px; background: var(--soft); }
.claims:empty { display: none; }
.claims div { display: flex; gap: 4px 20px; padding: 10px 0; border-top: 1px solid var(--line); }
.claims div:first-child { border-top: 0; }
dt { flex: 0 0 176px; min-width: 0; color: var(--muted); overflow-wrap: anywhere; }
dd { flex: 1; min-width: 0; overflow-wrap: anywhere; font-weight: 550; }
ol { margin-top: 18px; padding: 0; list-style: none; display: grid; gap: 18px; counter-reset: step; }
ol > li { counter-increment: step; min-width: 0; }
ol > li > p { font-weight: 600; }
ol > li > p::before { content: counter(step) ". "; color: var(--accent); }
details { margin-top: 8px; border: 1px solid var(--line); border-radius: 12px; background: var(--card); }
summary {
  padding: 12px 16px; cursor: pointer; font-weight: 600; border-radius: 12px; list-style: none;
  display: flex; align-items: center; justify-content: space-between; gap: 12px;
}
summary::-webkit-details-marker { display: none; }
summary::after {
  content: ""; width: 8px; height: 8px; flex: none; margin-right: 4px; border: solid var(--muted);
  border-width: 0 2px 2px 0; transform: rotate(45deg);
}
details[open] summary::after { transform: rotate(225deg); }
details > div { padding: 0 16px 16px; }
.where { color: var(--muted); font-size: 14px; }
.copy { position: relative; margin-top: 8px; }
pre {
  padding: 14px 16px; overflow-x: auto; border: 1px solid var(--line); border-radius: 12px; background: var(--soft);
  font: 13.5px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; color: var(--text);
}
.copy pre { padding-right: 92px; }
.copy button {
  position: absolute; top: 8px; right: 8px; min-height: 32px; padding: 3px 12px; border: 1px solid var(--line);
  border-radius: 8px; background: var(--card); color: var(--text); font-size: 13px; font-weight: 600;
}
.copy button:hover { border-color: var(--muted); }
.facts { margin-top: 16px; display: grid; gap: 10px; }
.facts div { display: flex; gap: 0 20px; }
code { font: 0.92em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
footer { margin-top: 22px; color: var(--muted); font-size: 14px; text-align: center; text-wrap: balance; }
@media (max-width: 520px) {
  body { padding: 20px 12px 24px; }
  h1 { margin-top: 20px; font-size: 27px; }
  section { padding: 22px 18px; }
  .claims div, .facts div { flex-direction: column; }
  dt { flex-basis: auto; }
  .copy pre { padding-right: 16px; padding-top: 48px; }
  .primary { width: 100%; }
}
@media (forced-colors: active) { .primary, .problem { border: 1px solid; } }
`;
