import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 15_000,
          // Real servers, Redis among them, on a machine that may be starved: once more; the report tells which.
          retry: 1,
        },
      },
      { test: { name: 'fuzz', include: ['test/fuzz/**/*.test.ts'], testTimeout: 300_000 } },
      {
        test: {
          name: 'end-to-end',
          include: ['test/{journeys,faults,interop,threats}/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          globalSetup: ['test/support/fault-table.ts'],
          // They mostly wait: for processes, pages, and faults to be noticed.
          maxWorkers: 6,
          // A journey that a starved machine upset is walked once more; the report tells which.
          retry: 1,
        },
      },
    ],
  },
});
