import { describe } from 'vitest';
import { sharingRows } from './rows/sharing.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('sharing', sharingRows);
