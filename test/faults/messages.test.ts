import { describe } from 'vitest';
import { messageRows } from './rows/messages.ts';

// Rows of the fault matrix, with the built command over real stdio; the table is printed after all of them.
describe('messages', messageRows);
