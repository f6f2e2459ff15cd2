import manifest from '../../package.json' with { type: 'json' };

/** The package's version, as `package.json` says it. */
export const version: string = manifest.version;
export const userAgent = `mcp-whoami/${version}`;
