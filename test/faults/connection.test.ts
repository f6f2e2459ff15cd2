import { describe } from 'vitest';
import { connectionRows } from './rows/connection.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('connection', connectionRows);
