import { randomBytes } from 'node:crypto';

/** The device codes of an authorization server (RFC 8628), each allowed from the start. */
export function createDeviceCodes() {
  const asked = new Map<string, URLSearchParams>();
  return {
    begin(form: URLSearchParams, issuer: string) {
      const device_code = randomBytes(12).toString('hex');
      asked.set(device_code, form);
      const page = {
        verification_uri: `${issuer}/device`,
        verification_uri_complete: `${issuer}/device?c=WXYZ`,
      };
      return { device_code, user_code: 'WXYZ-1234', ...page, expires_in: 600, interval: 0.02 };
    },
    /** What was asked for with the code that this token request is about. */
    asked: (form: URLSearchParams) => asked.get(form.get('device_code') ?? ''),
  };
}
