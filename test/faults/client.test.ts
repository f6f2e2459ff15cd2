import { describe } from 'vitest';
import { clientRows } from './rows/client.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('client', clientRows);
