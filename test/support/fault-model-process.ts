import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type ModelProcess, type ModelProcessOptions, startModelScript } from './fault-model-script.ts';

/** Bundles the model server and starts it as a process of its own. */
export async function startModelProcess(options: ModelProcessOptions = {}): Promise<ModelProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'fault-model-'));
  const script = join(folder, 'model.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'fault-model-main.ts')],
    outfile: script,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'warning',
  });
  const model = await startModelScript(script, folder, options);
  const { kill } = model;
  const stop = async () => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  };
  return Object.defineProperty(model, 'stop', { value: stop });
}
