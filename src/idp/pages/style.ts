/** The one style sheet of the pages, put inline: nothing is loaded from anywhere. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f3f4f8; --glow: #e3e4fb; --card: #ffffff; --line: #dfe2ea; --soft: #f6f7fb;
  --text: #171923; --muted: #565d6d; --accent: #4338ca; --accent-hover: #3730a3; --on-accent: #ffffff;
  --accent-soft: #eeeefd; --good: #13703f; --good-soft: #e4f5ec; --bad: #b42318; --bad-soft: #fdecea;
  --note: #74490a; --note-soft: #fdf3dd; --note-line: #f0dcae;
  --shadow: 0 1px 2px rgb(23 25 35 / 6%), 0 12px 40px rgb(23 25 35 / 9%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d0f15; --glow: #1c1d3d; --card: #161922; --line: #2a2f3d; --soft: #1c202b;
    --text: #eceef4; --muted: #a3aabb; --accent: #a5b0fc; --accent-hover: #bcc5ff; --on-accent: #12142b;
    --accent-soft: #23264a; --good: #6fdba4; --good-soft: #12301f; --bad: #ff9b8f; --bad-soft: #3a1a18;
    --note: #f1cf85; --note-soft: #2c2410; --note-line: #4a3c18;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 16px 48px rgb(0 0 0 / 45%);
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { height: 100%; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100%; padding: 32px 16px; display: flex; flex-direction: column;
  align-items: center; justify-content: center; gap: 20px; color: var(--text);
  background: radial-gradient(900px 420px at 50% -80px, var(--glow), transparent 70%) no-repeat var(--page);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
.card {
  width: 100%; max-width: 440px; padding: 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 16px; box-shadow: var(--shadow);
}
.card > :last-child { margin-bottom: 0; }
.brand { display: flex; align-items: center; gap: 10px; margin-bottom: 24px; font-weight: 600; font-size: 15px; }
.brand svg { width: 28px; height: 28px; flex: none; }
.brand-tile { fill: #4338ca; }
.brand-line { fill: none; stroke: #ffffff; stroke-width: 1.9; stroke-linecap: round; }
.tag {
  margin-left: auto; padding: 2px 10px; border-radius: 999px; border: 1px solid var(--note-line);
  background: var(--note-soft); color: var(--note); font-size: 12px; font-weight: 600;
}
h1 { margin: 0 0 8px; font-size: 24px; line-height: 1.25; font-weight: 650; letter-spacing: -0.012em; text-wrap: balance; }
p { margin: 0 0 16px; }
.lead { color: var(--muted); margin-bottom: 20px; text-wrap: pretty; }
.lead strong { color: var(--text); font-weight: 600; }
form { margin: 0; }
button { font: inherit; color: inherit; cursor: pointer; }
button:focus-visible, a:focus-visible, input:focus-visible, summary:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px;
}
.stack { display: grid; gap: 10px; }
.account {
  width: 100%; display: flex; align-items: center; gap: 14px; padding: 14px 16px; text-align: left;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; transition: background 0.12s, border-color 0.12s;
}
button.account:hover { background: var(--accent-soft); border-color: var(--accent); }
.account svg { width: 18px; height: 18px; flex: none; color: var(--muted); }
.who { flex: 1; min-width: 0; display: grid; line-height: 1.35; }
.who b { font-weight: 600; }
.who > * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.who span { color: var(--muted); font-size: 14px; }
.avatar {
  width: 42px; height: 42px; flex: none; display: grid; place-items: center; border-radius: 50%;
  color: #ffffff; font-weight: 600; font-size: 18px;
}
.avatar-alice { background: linear-gradient(140deg, #6d5ae6, #4338ca); }
.avatar-bob { background: linear-gradient(140deg, #0f8a8a, #0b5f73); }
.now { padding: 1px 8px; border-radius: 999px; background: var(--good-soft); color: var(--good); font-size: 12px; font-weight: 600; }
.chosen { padding: 10px 12px; background: var(--soft); margin: 16px 0 20px; gap: 12px; }
.chosen .avatar { width: 36px; height: 36px; font-size: 16px; }
.facts { margin: 0 0 20px; padding: 0; list-style: none; display: grid; gap: 10px; }
.facts li { display: flex; gap: 12px; align-items: flex-start; line-height: 1.4; }
.facts svg { width: 20px; height: 20px; flex: none; margin-top: 1px; color: var(--good); }
.facts span span { display: block; color: var(--muted); font-size: 14px; }
h2 { margin: 0 0 12px; font-size: 14px; font-weight: 600; color: var(--muted); }
dl { margin: 0 0 20px; padding: 14px 16px; border: 1px solid var(--line); border-radius: 12px; background: var(--soft); font-size: 14px; }
dl div { display: flex; flex-wrap: wrap; column-gap: 16px; padding: 3px 0; }
dt { color: var(--muted); flex: none; }
dd { margin: 0 0 0 auto; text-align: right; min-width: 0; overflow-wrap: anywhere; font-weight: 500; }
.note { display: flex; gap: 10px; padding: 12px 14px; border-radius: 12px; border: 1px solid var(--note-line);
  background: var(--note-soft); color: var(--note); font-size: 14px; line-height: 1.45; margin: 20px 0 12px; text-wrap: pretty; }
.note svg { width: 18px; height: 18px; flex: none; margin-top: 1px; }
.note + .actions { margin-top: 20px; }
.actions { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }
.actions.single { grid-template-columns: 1fr; }
.button { width: 100%; min-height: 46px; padding: 10px 16px; border-radius: 12px; border: 1px solid var(--line); background: var(--card); font-weight: 600; }
.button:hover { background: var(--soft); border-color: var(--muted); }
.button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.button.primary:hover { background: var(--accent-hover); border-color: var(--accent-hover); }
.link { border: 0; background: none; padding: 6px 10px; border-radius: 8px; color: var(--accent); font-weight: 600; font-size: 14px; }
.link:hover { text-decoration: underline; }
.center { text-align: center; }
.badge { width: 56px; height: 56px; margin: 0 auto 16px; display: grid; place-items: center; border-radius: 50%; }
.badge svg { width: 28px; height: 28px; }
.badge.good { background: var(--good-soft); color: var(--good); }
.badge.bad { background: var(--bad-soft); color: var(--bad); }
.badge.plain { background: var(--accent-soft); color: var(--accent); }
label { display: block; margin-bottom: 6px; font-weight: 600; font-size: 14px; }
.code-input {
  width: 100%; padding: 14px 12px; margin-bottom: 16px; border: 1px solid var(--muted); border-radius: 12px; background: var(--card);
  color: var(--text); text-align: center; text-transform: uppercase; letter-spacing: 0.16em;
  font: 600 22px/1.2 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
.code-input::placeholder { color: var(--muted); opacity: 0.8; }
.code-shown {
  margin: 0 0 20px; padding: 18px 8px; border: 1px dashed var(--muted); border-radius: 12px; background: var(--soft); text-align: center;
  font: 650 28px/1.2 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; letter-spacing: 0.12em;
}
.problem { margin: 0 0 16px; padding: 10px 14px; border-radius: 12px; background: var(--bad-soft); color: var(--bad); font-size: 14px; font-weight: 500; }
.detail { padding: 12px 14px; border-radius: 12px; background: var(--soft); border: 1px solid var(--line); text-align: left;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; color: var(--muted); }
footer { max-width: 440px; color: var(--muted); font-size: 13px; text-align: center; text-wrap: balance; }
@media (max-width: 480px) {
  body { justify-content: flex-start; padding: 16px 12px 24px; }
  .card { padding: 24px 20px; }
  h1 { font-size: 22px; }
  .account { padding: 14px; gap: 12px; }
  .chosen { padding: 10px 4px 10px 12px; }
}
@media (forced-colors: active) { .avatar, .badge, .tag { border: 1px solid; } }
@media (prefers-reduced-motion: reduce) { .account { transition: none; } }
`;
