import { expect, it } from 'vitest';
import { createDocumentFetch } from '../../../src/idp/documents.ts';
import { threat } from '../../support/threats.ts';

it('answers for the documents it was given, without the network', async () => {
  const get = createDocumentFetch({ 'https://client.example/a.json': { client_id: 'a' } });
  expect(await (await get('https://client.example/a.json')).json()).toEqual({ client_id: 'a' });
});

it(threat('R20', 'asks nobody without the guard against private addresses'), async () => {
  const get = createDocumentFetch({});
  await expect(get('https://client.example/a.json')).rejects.toMatchObject({ code: 'insecure_url' });
});
