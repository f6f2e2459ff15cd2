import { chromium } from 'playwright-core';

/** Debian's Chromium, as the pictures are taken with it: started as root, and quiet on the network. */
export function openChromium() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-sync',
    ],
  });
}
