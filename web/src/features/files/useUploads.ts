import { useCallback, useEffect, useRef, useState } from 'react';

import { join } from '../../lib/files';
import { upload } from './upload';

/** A file on its way, or one that could not be sent. */
export interface Sending {
  readonly id: number;
  readonly path: string;
  readonly file: File;
  readonly sent: number;
  readonly error: Error | null;
}

export interface Uploads {
  readonly list: readonly Sending[];
  readonly add: (folder: string, files: readonly File[]) => void;
  readonly again: (it: Sending, replace: boolean) => void;
  readonly cancel: (it: Sending) => void;
}

/** Sends files to a workspace, one after the other, for as long as the page is open. */
export function useUploads(workspace: string): Uploads {
  const [list, setList] = useState<readonly Sending[]>([]);
  const aborts = useRef(new Map<number, AbortController>());
  const last = useRef(0);
  const queue = useRef(Promise.resolve());
  useEffect(() => {
    const known = aborts.current;
    return () => known.forEach((it) => it.abort());
  }, []);
  const put = useCallback((id: number, change: Partial<Sending> | null) => {
    setList((all) =>
      change === null
        ? all.filter((it) => it.id !== id)
        : all.map((it) => (it.id === id ? { ...it, ...change } : it)),
    );
  }, []);
  const start = useCallback(
    (id: number, path: string, file: File, replace: boolean) => {
      const abort = new AbortController();
      aborts.current.set(id, abort);
      queue.current = queue.current.then(async () => {
        try {
          abort.signal.throwIfAborted();
          await upload({ workspace, path, file, replace }, abort.signal, (sent) =>
            put(id, { sent }),
          );
          put(id, null);
        } catch (error) {
          put(id, abort.signal.aborted ? null : { error: error as Error });
        } finally {
          aborts.current.delete(id);
        }
      });
    },
    [workspace, put],
  );
  return {
    list,
    add: (folder, files) => {
      const fresh = files.map((file) => {
        last.current += 1;
        return { id: last.current, path: join(folder, file.name), file, sent: 0, error: null };
      });
      setList((all) => [...all, ...fresh]);
      for (const it of fresh) start(it.id, it.path, it.file, false);
    },
    again: (it, replace) => {
      put(it.id, { error: null, sent: 0 });
      start(it.id, it.path, it.file, replace);
    },
    cancel: (it) => {
      aborts.current.get(it.id)?.abort();
      put(it.id, null);
    },
  };
}
