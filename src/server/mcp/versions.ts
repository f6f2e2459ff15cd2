/** The protocol revisions with a handshake that we speak, oldest first. */
export const revisions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;
export const latestRevision = '2025-11-25';

export function isRevision(text: string | undefined): boolean {
  return (revisions as readonly (string | undefined)[]).includes(text);
}

/** Batches came with 2025-03-26 and went with 2025-06-18; before a version is known they are let through. */
export function allowsBatches(revision: string | undefined): boolean {
  return revision === undefined || revision <= '2025-03-26';
}
