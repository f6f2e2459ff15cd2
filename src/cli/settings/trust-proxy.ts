import { readProxies } from '../../server/caller.ts';
import { jsonTexts, type Option } from './option.ts';

export const proxies = (common: Omit<Option<readonly string[]>, 'read'>): Option<readonly string[]> => ({
  ...common,
  repeatable: true,
  json: jsonTexts,
  read: readProxies,
});
