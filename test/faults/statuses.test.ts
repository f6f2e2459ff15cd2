import { describe } from 'vitest';
import { statusRows } from './rows/statuses.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('statuses', statusRows);
