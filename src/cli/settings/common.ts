import { AppError } from '../../lib/errors.ts';
import { logLevels } from '../../lib/log.ts';
import { oneOf, several, text, toggle } from './option.ts';

/** Flags of every command. */
export const commonOptions = {
  help: { ...toggle({ flag: 'help', help: 'show this help' }), short: 'h' },
  version: toggle({ flag: 'version', help: 'show the version' }),
  profile: {
    ...text({
      flag: 'profile',
      value: 'NAME',
      variables: ['MCP_WHOAMI_PROFILE'],
      member: 'profile',
      help: 'the account to use (default: default)',
    }),
    read(texts: readonly string[], from: string): string {
      const name = texts.at(-1) ?? '';
      if (/^[\w.@+-]{1,64}$/.test(name)) return name;
      throw new AppError('usage', `${from}: a profile name has 1 to 64 letters, digits and . _ @ + -`);
    },
  },
  logLevel: oneOf(logLevels, {
    flag: 'log-level',
    value: logLevels.join('|'),
    variables: ['MCP_WHOAMI_LOG_LEVEL'],
    member: 'logLevel',
    help: 'what goes to standard error (default: info)',
  }),
};

/** For commands that print data. */
export const jsonOption = {
  json: toggle({ flag: 'json', help: 'print one JSON document on standard output' }),
};

/** Wherever we speak TLS as a client. */
export const trustOptions = {
  ca: several((path, from) => ({ path, from }), {
    flag: 'ca',
    value: 'FILE',
    member: 'ca',
    help: 'a PEM file of certificate authorities to trust beside the usual ones and NODE_EXTRA_CA_CERTS (repeatable)',
  }),
};
