import { describe } from 'vitest';
import { environmentRows } from './rows/environment.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('environment', environmentRows);
