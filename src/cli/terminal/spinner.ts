import type { Screen } from './screen.ts';

export interface Spinner {
  stop(): void;
}

const frameMs = 120;
const frames = { unicode: [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'], ascii: [...'-\\|/'] } as const;

/**
 * Shows on the terminal that we wait, and for how long still; nothing where there is none. The cursor is left as it
 * is, so that no end, however sudden, has to bring it back.
 *
 * In: what we wait for; `until`, by the clock `now`. Milliseconds since the epoch.
 */
export function startSpinner(screen: Screen, what: string, until: number, now: () => number): Spinner {
  if (!screen.can.change) return { stop: () => {} };
  const marks = screen.can.unicode ? frames.unicode : frames.ascii;
  const dot = screen.can.unicode ? '·' : '-';
  let turn = 0;
  const draw = () => {
    const mark = marks[turn++ % marks.length];
    const left = timeLeft(until - now());
    const forms = [
      `${mark} ${what} ${dot} ${left} left ${dot} Ctrl-C ends it`,
      `${mark} ${what} ${dot} ${left}`,
      `${mark} ${left}`,
    ];
    screen.status(forms.find((form) => form.length < screen.size().columns) ?? mark);
  };
  draw();
  const timer = setInterval(draw, frameMs);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      screen.status(undefined);
    },
  };
}

/** `4:07`. */
function timeLeft(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
