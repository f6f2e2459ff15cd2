import { describe } from 'vitest';
import { authRows } from './rows/auth.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('auth', authRows);
