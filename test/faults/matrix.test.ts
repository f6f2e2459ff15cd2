import { afterAll, describe } from 'vitest';
import { printMatrix } from '../support/fault-rows.ts';
import { authRows } from './rows/auth.ts';
import { clientRows } from './rows/client.ts';
import { connectionRows } from './rows/connection.ts';
import { environmentRows } from './rows/environment.ts';
import { messageRows } from './rows/messages.ts';
import { sharingRows } from './rows/sharing.ts';
import { silenceRows } from './rows/silence.ts';
import { statusRows } from './rows/statuses.ts';

// The fault matrix, row by row, with the built command over real stdio. Each theme has its own file.
describe('connection', connectionRows);
describe('silence', silenceRows);
describe('statuses', statusRows);
describe('messages', messageRows);
describe('client', clientRows);
describe('auth', authRows);
describe('sharing', sharingRows);
describe('environment', environmentRows);

afterAll(printMatrix);
