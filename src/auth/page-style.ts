/** The style of the loopback pages: system font, light and dark, from 360 px up. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --card: #fff; --line: #e3e6eb; --ink: #16191f; --soft: #596273;
  --good: #0b7a4b; --good-soft: #e2f5eb; --bad: #b3361b; --bad-soft: #fdebe6;
  --quiet: #4b5563; --quiet-soft: #eceef2; --lift: 0 1px 2px #10182810, 0 12px 32px -12px #10182826;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1014; --card: #171a20; --line: #2a2f39; --ink: #eef1f6; --soft: #a2abba;
    --good: #4fd598; --good-soft: #123527; --bad: #ff9478; --bad-soft: #40201a;
    --quiet: #b4bccb; --quiet-soft: #262b34; --lift: 0 1px 2px #0006, 0 16px 40px -16px #000a;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  min-height: 100vh; min-height: 100svh; padding: 24px 16px; background: var(--ground); color: var(--ink);
  display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 20px;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-font-smoothing: antialiased;
}
main {
  width: 100%; max-width: 440px; padding: 40px 36px 32px; background: var(--card);
  border: 1px solid var(--line); border-radius: 20px; box-shadow: var(--lift); text-align: center;
}
.mark {
  width: 64px; height: 64px; padding: 16px; border-radius: 50%; display: block; margin: 0 auto 20px;
  fill: none; stroke: currentColor; stroke-width: 2.4; stroke-linecap: round; stroke-linejoin: round;
}
.good .mark { color: var(--good); background: var(--good-soft); }
.bad .mark { color: var(--bad); background: var(--bad-soft); }
.quiet .mark { color: var(--quiet); background: var(--quiet-soft); }
h1 { font-size: 25px; line-height: 1.25; font-weight: 650; letter-spacing: -.015em; }
dl { margin-top: 28px; border: 1px solid var(--line); border-radius: 14px; text-align: left; overflow: hidden; }
.person, .row { padding: 14px 18px; }
.person { display: flex; align-items: center; gap: 14px; }
.person > div { min-width: 0; }
.person + .row { border-top: 1px solid var(--line); }
.avatar {
  flex: none; width: 44px; height: 44px; border-radius: 50%; display: grid; place-items: center;
  background: var(--good-soft); color: var(--good); font-weight: 650; letter-spacing: .02em;
}
dt { font-size: 13px; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.name { font-weight: 600; }
.what { margin-top: 14px; overflow-wrap: anywhere; }
.next { margin-top: 24px; padding: 16px 18px; border: 1px solid var(--line); border-radius: 14px; text-align: left; }
.next h2 { font-size: 13px; font-weight: 400; color: var(--soft); }
.next p { overflow-wrap: anywhere; }
.end { margin-top: 24px; font-size: 15px; color: var(--soft); text-wrap: balance; }
footer { font-size: 13px; color: var(--soft); }
@media (max-width: 480px) {
  main { padding: 32px 20px 24px; border-radius: 18px; }
  h1 { font-size: 23px; }
}
`;
