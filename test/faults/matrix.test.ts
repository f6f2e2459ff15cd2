import { afterAll, describe } from 'vitest';
import { printMatrix } from '../support/fault-rows.ts';
import { connectionRows } from './rows/connection.ts';

// The fault matrix, row by row, with the built command over real stdio. Each theme has its own file.
describe('connection', connectionRows);

afterAll(printMatrix);
