// Bundles the command and the library into dist/: one chunk for each lazily imported part, and the library's types.
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outdir = join(root, 'dist');

await rm(outdir, { recursive: true, force: true });
const result = await build({
  absWorkingDir: root,
  entryPoints: {
    main: 'src/cli/main.ts',
    'keychain-worker': 'src/vault/keychain/worker.ts',
    server: 'src/server/library/index.ts',
  },
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // jsonc-parser's CommonJS form cannot be bundled.
  mainFields: ['module', 'main'],
  minifySyntax: true,
  // oidc-provider names its models after its classes.
  keepNames: true,
  legalComments: 'none',
  metafile: true,
  // The native bindings are optional packages, found at run time or not at all.
  external: ['keytar', '@napi-rs/keyring'],
  // CommonJS inside the bundle asks for node's own modules through `require`.
  banner: {
    js: "import{createRequire as makeRequire}from'node:module';const require=makeRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
// What runs in a browser is served as it is.
await cp(join(root, 'src/server/page/browser'), join(outdir, 'browser'), {
  recursive: true,
  filter: (file) => !file.endsWith('.json'),
});
await writeFile(join(outdir, 'THIRD-PARTY-LICENSES.txt'), await licences(result.metafile));
await declare('server/library/index');

/** Writes the declarations of a module and of those that its own ones import, and no others, into `dist/types`. */
async function declare(entry) {
  const emitted = join(outdir, 'declarations');
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await promisify(execFile)(process.execPath, [compiler, '-p', 'tsconfig.types.json', '--outDir', emitted], {
    cwd: root,
  });
  const todo = [entry];
  for (const module of todo) {
    const text = await readFile(join(emitted, `${module}.d.ts`), 'utf8');
    const target = join(outdir, 'types', `${module}.d.ts`);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(
      target,
      text.replace(/(from ')(\.{1,2}\/[^']+)\.ts'/g, (_, from, path) => {
        const imported = join(dirname(module), path);
        if (!todo.includes(imported)) todo.push(imported);
        return `${from}${path}.js'`;
      }),
    );
  }
  await rm(emitted, { recursive: true });
}

/** The licence text of every package that the bundle took in. */
async function licences(metafile) {
  const packages = new Set();
  for (const file of Object.keys(metafile.inputs)) {
    const found = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(file);
    if (found) packages.add(found[1]);
  }
  const texts = [];
  for (const folder of [...packages].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
    const text = await firstOf(folder, [
      'LICENSE',
      'LICENSE.md',
      'license',
      'LICENSE.txt',
      'LICENCE',
      'License',
    ]);
    texts.push(`${name} ${version} (${license})\n\n${text ?? 'No licence file in the package.'}`);
  }
  return texts.join(`\n\n${'-'.repeat(80)}\n\n`);
}

async function firstOf(folder, names) {
  for (const name of names) {
    try {
      return await readFile(join(root, folder, name), 'utf8');
    } catch {}
  }
  return undefined;
}
