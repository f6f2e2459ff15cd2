import { expect, test } from 'vitest';
import { AppError } from '../../../src/lib/errors.ts';
import { translateBindingError, worstOf } from '../../../src/vault/keychain/errors.ts';

test.each([
  ['keychain_locked', 'Cannot create an item in a locked collection'],
  ['keychain_locked', "Couldn't access platform storage: Secret Service: unlock prompt was dismissed"],
  ['keychain_locked', 'User interaction is not allowed.'],
  ['keychain_locked', 'The user name or passphrase you entered is not correct.'],
  ['keychain_locked', 'User canceled the operation.'],
  [
    'keychain_locked',
    'Platform failure: DBus error: Did not receive a reply. Possible causes include: the remote …',
  ],
  ['keychain_locked', 'Timeout was reached'],
  ['keychain_unavailable', 'Cannot autolaunch D-Bus without X11 $DISPLAY'],
  ['keychain_unavailable', 'Could not connect: No such file or directory'],
  ['keychain_unavailable', 'The name org.freedesktop.secrets was not provided by any .service files'],
  ['keychain_unavailable', 'Object does not exist at path “/org/freedesktop/secrets/collection/login”'],
  ['keychain_unavailable', "Couldn't access platform storage: Secret Service: no result found"],
  ['keychain_unavailable', 'Platform failure: DBus error: Using X11 for dbus-daemon autolaunch was disabled'],
  ['keychain_unavailable', 'A default keychain could not be found.'],
  ['vault_failed', 'The disk is on fire'],
])('%s: %s', (code, said) => {
  const error = translateBindingError(new Error(said));
  expect(error.code).toBe(code);
  expect(error.hint).toBeTruthy();
});

test('an error of ours stays as it is; remote text cannot move the cursor', () => {
  const own = new AppError('vault_failed', 'x');
  expect(translateBindingError(own)).toBe(own);
  expect(translateBindingError(new Error('a\u001b[2Jb')).message).toBe('the keychain refused: a [2Jb');
});

test('of two errors a locked keychain is the one to show, then the one that names a reason', () => {
  const errors = (...said: (string | Error)[]) =>
    said.map((one) => translateBindingError(typeof one === 'string' ? new Error(one) : one));
  const missing = Object.assign(new Error('keytar cannot be loaded'), { code: 'BINDING_MISSING' });
  expect(worstOf(errors('no D-Bus', 'prompt was dismissed')).code).toBe('keychain_locked');
  expect(worstOf(errors(missing, 'no D-Bus here')).message).toContain('no D-Bus here');
  expect(worstOf(errors(missing)).message).toContain('keytar cannot be loaded');
});
