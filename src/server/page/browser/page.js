// Makes the page at "/" alive: the sign-in, and the buttons that copy.

import { comeBack, leave } from './sign-in.js';
import { byId, issuer, show } from './whoami.js';

const button = /** @type {HTMLButtonElement | null} */ (document.getElementById('go'));
for (const copy of document.querySelectorAll('button[data-copy]')) {
  offerCopy(/** @type {HTMLButtonElement} */ (copy));
}
if (button) offerSignIn(button);

/** @param {HTMLButtonElement} go */
function offerSignIn(go) {
  go.hidden = false;
  go.addEventListener('click', () => run(go, issuer === undefined ? () => show(undefined) : leave));
  const answer = new URLSearchParams(location.search);
  if (!answer.has('state')) return;
  // The code leaves the address bar before anything else happens.
  history.replaceState(null, '', location.pathname);
  void run(go, () => comeBack(answer));
}

/** @param {HTMLButtonElement} go @param {() => Promise<void>} step */
async function run(go, step) {
  go.disabled = true;
  byId('problem').textContent = '';
  byId('claims').replaceChildren();
  try {
    await step();
  } catch (error) {
    byId('status').textContent = '';
    byId('problem').textContent = error instanceof Error ? error.message : String(error);
  } finally {
    go.disabled = false;
  }
}

/** @param {HTMLButtonElement} copy */
function offerCopy(copy) {
  if (!navigator.clipboard) return;
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(copy.previousElementSibling?.textContent ?? '');
    copy.textContent = 'Copied';
    setTimeout(() => {
      copy.textContent = 'Copy';
    }, 2000);
  });
}
