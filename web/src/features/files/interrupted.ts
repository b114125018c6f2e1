import { isRecord } from '../../api/errors';

const KEY = 'prism.uploads'; // of the session storage, which a reload of the tab keeps

/** What is known of an upload without its file. */
export interface Interrupted {
  readonly workspace: string;
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly modified: number;
  readonly folder: string;
  readonly sent: number;
}

/** The uploads that were under way when the tab was loaded again. */
export function readInterrupted(storage: Storage): readonly Interrupted[] {
  let stored: unknown;
  try {
    stored = JSON.parse(storage.getItem(KEY) ?? '[]');
  } catch {
    return [];
  }
  return Array.isArray(stored) ? (stored as unknown[]).filter(isInterrupted) : [];
}

/** Remembers the uploads that are under way. */
export function writeInterrupted(storage: Storage, list: readonly Interrupted[]): void {
  if (list.length === 0) {
    storage.removeItem(KEY);
    return;
  }
  const plain = list.map(({ workspace, name, path, folder, size, modified, sent }) => ({
    ...{ workspace, name, path, folder },
    ...{ size, modified, sent },
  }));
  storage.setItem(KEY, JSON.stringify(plain));
}

function isInterrupted(it: unknown): it is Interrupted {
  if (!isRecord(it)) return false;
  const texts = [it['workspace'], it['name'], it['path'], it['folder']];
  const numbers = [it['size'], it['modified'], it['sent']];
  return (
    texts.every((text) => typeof text === 'string') &&
    numbers.every((number) => typeof number === 'number')
  );
}
