import { describe, expect, it } from 'vitest';
import { redirectIn } from '../../../src/auth/redirect/redirect-in-text.ts';

const issuer = 'https://auth.example/oidc';
const state = 'S-tate_0123456789';
const endpoints = { authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` };
const request = (announced = true) => ({
  redirectUri: 'http://127.0.0.1:4567/callback',
  state,
  server: { issuer, ...endpoints, authorization_response_iss_parameter_supported: announced },
});
const base = 'http://127.0.0.1:4567/callback';
const iss = `iss=${encodeURIComponent(issuer)}`;
const whole = `${base}?code=abc.def&state=${state}&${iss}`;

/** The code found, or what was answered in its place. */
const codeIn = (text: string, announced = true) => {
  const found = redirectIn(text, request(announced));
  return found instanceof URLSearchParams ? (found.get('code') ?? found.get('error')) : found;
};

describe('around the address', () => {
  it.each([
    ['nothing', whole],
    ['spaces and CR LF', `  ${whole} \r\n`],
    ['words', `It says ${whole} now`],
    ['a line before and one after', `Hello,\n\n${whole}\n\nregards`],
    ['double quotes', `"${whole}"`],
    ['single quotes', `'${whole}' is it`],
    ['single quotes and a full stop', `address='${whole}'.`],
    ['backquotes', `\`${whole}\``],
    ['angle brackets', `<${whole}>`],
    ['brackets', `(${whole})`],
    ['Markdown', `[here](${whole}).`],
    ['typographic quotes', `“${whole}”`],
    ['a full stop', `${whole}.`],
    ['marks of a paste', `\u001b[200~${whole}\u001b[201~`],
    [
      'colours and a link of a terminal',
      `\u001b[4m\u001b]8;;http://x.test\u0007${whole}\u001b]8;;\u0007\u001b[0m`,
    ],
    ['another address of ours before', `${base} ${base}?code=x&state=other ${whole}`],
    [
      'the address that it began with',
      `${issuer}/auth?redirect_uri=${encodeURIComponent(base)}&state=${state} ${whole}`,
    ],
  ])('%s', (_, text) => expect(codeIn(text)).toBe('abc.def'));
});

describe('cut into lines', () => {
  const cut = (at: number, between = '\n') => `${whole.slice(0, at)}${between}${whole.slice(at)}`;

  it('anywhere, where the answer names its server', () => {
    for (let at = 8; at < whole.length; at++) {
      for (const between of ['\n', '\r\n', '\r', '  \n    '])
        expect(codeIn(cut(at, between))).toBe('abc.def');
    }
  });

  it('into three, in quotes, with words after it', () => {
    const text = `"${whole.slice(0, 30)}\n${whole.slice(30, 50)}\n${whole.slice(50)}" and thanks`;
    expect(codeIn(text)).toBe('abc.def');
  });

  it('a word in the next line is no part of it where the answer names its server', () => {
    expect(codeIn(`${whole}\nthanks`)).toBe('abc.def');
  });

  it('unclear, where a code may or may not go on: never half a code', () => {
    const text = `${base}?state=${state}&code=abcdef`;
    expect(codeIn(`${text}\nghi`, false)).toBe('unclear');
    expect(codeIn(`${text}\n\nghi`, false)).toBe('abcdef');
    expect(codeIn(`${text}\nghi jkl`, false)).toBe('abcdef');
    expect(codeIn(`${text}\n&session_state=1`, false)).toBe('abcdef');
  });
});

describe('what is none', () => {
  it.each([
    ['nothing', ''],
    ['another state', whole.replace(state, 'other')],
    ['no state', whole.replace(`&state=${state}`, '')],
    ['another path', whole.replace('/callback', '/elsewhere')],
    ['another port', whole.replace('4567', '4568')],
    ['another host', whole.replace('127.0.0.1', 'evil.example')],
    ['a user part that looks like ours', `http://127.0.0.1:4567@evil.example/callback?code=a&state=${state}`],
    ['two codes', `${whole}&code=other`],
    ['only the parameters', whole.slice(base.length)],
  ])('%s', (_, text) => expect(codeIn(text)).toBeUndefined());

  it('an answer of another server is handed on to be judged, not asked for again', () => {
    expect(codeIn(whole.replace('auth.example', 'evil.example'))).toBe('abc.def');
  });

  it('a refusal is an answer', () => {
    expect(codeIn(`${base}?error=access_denied&state=${state}&${iss}`)).toBe('access_denied');
  });
});
