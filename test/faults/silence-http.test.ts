import { describe } from 'vitest';
import { silenceRows } from './rows/silence.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('silence', () => silenceRows('mcp'));
